"""Takes one safety out of the product, in this process alone: the harness must notice."""

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import patch


def apply(mutation: str | None) -> None:
    """Breaks the product so."""
    if mutation is not None:
        {"dedup": _dedup, "fsync": _fsync, "ack": _ack}[mutation]()


def _dedup() -> None:
    """What is known already is stored once more, and the table lets it."""
    import sqlalchemy as sa

    from iotxmpp.controller.store import schema, settling, taking

    settle = settling.settle

    def settle_all(*arguments: Any) -> Any:  # noqa: ANN401  # whatever it takes and gives
        taken, fresh = settle(*arguments)
        return replace(taken, readings=arguments[-1].readings), fresh

    patch.object(taking, "settle", settle_all).start()
    for column in schema.readings.primary_key.columns:
        column.primary_key = False
    schema.readings.append_constraint(sa.PrimaryKeyConstraint())
    schema.readings.dialect_options["sqlite"]["with_rowid"] = True


def _fsync() -> None:
    """Publish returns before the reading is on disk."""
    from iotxmpp.agent.outbox.keeper import Keeper

    take_one = Keeper.take_one

    def promise(self: Keeper, *arguments: Any, **named: Any) -> "asyncio.Future[None]":  # noqa: ANN401  # passed on
        take_one(self, *arguments, **named)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kept.set_result(None)
        return kept

    patch.object(Keeper, "take_one", promise).start()


def _ack() -> None:
    """What is stored is never acknowledged."""
    from iotxmpp.controller.acks import Line

    patch.object(Line, "_start", lambda _self: None).start()
