"""What tests of the device's outbox share: a keeper on a file, and what it holds and tells."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from iotxmpp.agent.clock import Clock
from iotxmpp.agent.line import Line, Parcel
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.rows import FIRST, LAST, seq_of
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.outbox.settings import Limits, OutboxSettings
from iotxmpp.agent.presence import Problems
from iotxmpp.backoff import Backoff
from iotxmpp.delivery import Gap
from iotxmpp.readings import Value


@asynccontextmanager
async def opened(
    path: Path | None,
    *,
    epoch: str = "e1",
    limits: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    problems: Problems | None = None,
) -> AsyncIterator[Keeper]:
    bounds = Limits(**(limits or {}))
    outbox = SafeOutbox(
        path,
        limits=bounds,
        memory_limits=bounds,
        problems=problems or Problems(),
        backoff=partial(Backoff, choose=lambda low, high: 0.02),
    )
    keeper = Keeper(outbox, clock=clock or Clock(), epoch=epoch)
    await keeper.open()
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await keeper.close()


def one(value: Value = 1.5, channel: str = "level") -> dict[str, tuple[Value, str | None]]:
    return {channel: (value, "m")}


def set_aside(folder: Path) -> list[Path]:
    return list(folder.glob("outbox.db.corrupt-*"))


async def numbers(keeper: Keeper) -> list[int]:
    return [seq_of(row.place) for row in await keeper.page(FIRST, LAST, 10_000)]


async def losses_of(keeper: Keeper) -> list[tuple[int, int, str]]:
    return [(each.first, each.last, each.reason) for each in await keeper.losses(0, 99)]


async def told_by(keeper: Keeper) -> list[Gap]:
    """The gap records that are published, while there are no readings."""
    line, gaps = Line(keeper=keeper, settings=OutboxSettings()), []
    while isinstance(parcel := await line._loss(), Parcel):
        assert parcel.gap is not None
        gaps.append(parcel.gap)
        line.published(parcel, 0.0, 0.0)
    assert not line._has_losses()
    return gaps


async def trimmed(keeper: Keeper, upto: int) -> None:
    assert keeper.acknowledge({keeper.epoch: upto})
    keeper._trim_at = 0.0
    await keeper.flush()
