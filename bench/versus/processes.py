"""Starts the ends of a comparison, each a module here and a process of its own, and tells them what to do."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from delivery_ends import End

from iotxmpp import Account
from iotxmpp.agent.outbox.settings import STATE_VARIABLE

START = 300.0
"""Seconds until an end is online: hundreds of devices log in one after another."""

_BENCH = Path(__file__).parents[1]


@asynccontextmanager
async def running(module: str, identity: Mapping[str, Any], *, state: Path) -> AsyncIterator[End]:
    """Starts `versus.<module>` as who it is; it is online on entry, and over on exit.

    Args:
        module: The end's module.
        identity: Who it is; its first line.
        state: Where it may keep files of its own.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"versus.{module}"),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": str(_BENCH), STATE_VARIABLE: str(state)},
        limit=2**24,
    )
    started = End(process)
    started.order(identity)
    try:
        await started.answer(START)
        yield started
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def ask(end: End, do: str, **order: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Tells an end what to do, and returns its answer when that is done."""
    end.order({"do": do, **order})
    answer: dict[str, Any] = json.loads(await end.answer())
    return answer


def open_account(account: Account) -> dict[str, Any]:
    """An account as an end reads it, its password included."""
    return {**account.model_dump(mode="json"), "password": account.password.get_secret_value()}
