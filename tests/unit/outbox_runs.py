"""Runs of an outbox on a file, and what happens to the file between them."""

import asyncio
import shutil
from pathlib import Path

from iotxmpp.delivery import Gap
from tests.unit.outbox_house import one, opened, trimmed

KEPT = 5


def gap(epoch: str, first: int, last: int) -> Gap:
    return Gap(epoch=epoch, reason="corrupt", lost=((first, last),))


async def run_once(path: Path, *, acked: int = 0, readings: int = KEPT, epoch: str = "e1") -> None:
    """One run of an agent that ends in order."""
    async with opened(path, epoch=epoch) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(readings)))
        if acked:
            await trimmed(keeper, acked)


async def run_and_be_killed(path: Path, *, acked: int = 0, readings: int = KEPT) -> None:
    """Leaves what is on disk while an agent runs."""
    elsewhere = path.with_name("running") / path.name
    async with opened(elsewhere) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(readings)))
        if acked:
            await trimmed(keeper, acked)
        for each in elsewhere.parent.iterdir():
            shutil.copy(each, path.parent / each.name)
    shutil.rmtree(elsewhere.parent)
