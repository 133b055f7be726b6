"""Runs of an outbox in processes of their own, which are killed, and what is left of them."""

import asyncio
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from iotxmpp.agent.outbox.rows import FIRST, LAST, epoch_of, seq_of
from iotxmpp.agent.presence import Problems
from iotxmpp.crashpoints import VARIABLE
from tests.unit.outbox_house import one, opened, set_aside, told_by

_PROCESSES = multiprocessing.get_context("forkserver")  # forks from a process without threads
_PROCESSES.set_forkserver_preload(["tests.unit.outbox_kills"])

LONG = 20.0
EPOCH = "e1"
DAMAGED_PAGE = 3


class Left(NamedTuple):
    """What an outbox holds and tells of the run `EPOCH`, by numbers."""

    held: frozenset[int]
    told: frozenset[int]


def start(path: Path, *, epoch: str, count: int = 0, crash_at: str | None = None) -> BaseProcess:
    """Starts a run that promises so many readings, with values as their numbers, and goes on for long."""
    process = _PROCESSES.Process(target=_run, args=(path, epoch, count, crash_at), daemon=True)
    process.start()
    return process


def run_and_crash(path: Path, epoch: str, label: str) -> None:
    """A run that kills itself at a crash point."""
    process = start(path, epoch=epoch, crash_at=label)
    process.join(LONG)
    assert process.exitcode == -signal.SIGKILL, f"it never came to {label}"


def run_and_kill(path: Path, epoch: str, chance: random.Random) -> None:
    """A run that is killed within some milliseconds after it began to make a file."""
    before = set(path.parent.iterdir())
    process, deadline = start(path, epoch=epoch), time.monotonic() + LONG
    while not any(".db.lock" not in each.name for each in set(path.parent.iterdir()) - before):
        assert time.monotonic() < deadline
    time.sleep(chance.uniform(0.0, 0.015))
    process.kill()
    process.join(LONG)


def run_until_promised(path: Path, epoch: str, count: int) -> None:
    """A run that is killed when it has promised so many readings."""
    process, deadline = start(path, epoch=epoch, count=count), time.monotonic() + LONG
    while not _promised(path, epoch).exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.join(LONG)
    _promised(path, epoch).unlink()


async def left(path: Path, epoch: str, problems: Problems | None = None) -> Left:
    """Opens it once more, in a new run, and looks; the outbox works."""
    async with asyncio.timeout(LONG), opened(path, epoch=epoch, problems=problems) as keeper:
        await keeper.keep(one(-1.0))
        assert keeper.state == "disk"
        rows = await keeper.page(FIRST, LAST, 10_000)
        mine = [row for row in rows if keeper.epoch_by_id(epoch_of(row.place)).name == EPOCH]
        assert all(row.value == float(seq_of(row.place)) for row in mine)
        told = {
            number
            for gap in await told_by(keeper)
            if gap.epoch == EPOCH
            for first, last in gap.lost
            for number in range(first, last + 1)
        }
    return Left(frozenset(seq_of(row.place) for row in mine), frozenset(told))


def damage_a_page(path: Path) -> None:
    """Overwrites one page of readings; those of others can still be read."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        query = "SELECT pageno FROM dbstat WHERE name = 'readings' AND pagetype = 'leaf' ORDER BY path"
        page = connection.execute(query).fetchall()[DAMAGED_PAGE][0]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def copied(source: Path, folder: Path) -> Path:
    """The same outbox, in another folder."""
    shutil.copytree(source.parent, folder)
    return folder / source.name


def is_tidy(folder: Path) -> bool:
    """Whether nothing is left of files that were being made or replaced."""
    return not any(".making" in each.name or ".instead" in each.name for each in folder.iterdir())


def aside_of(path: Path) -> list[Path]:
    """The damaged files that were moved aside, without what stands beside them."""
    return [each for each in set_aside(path.parent) if not each.name.endswith(("-wal", "-shm", "-journal"))]


def _promised(path: Path, epoch: str) -> Path:
    return path.with_name(f"{epoch}.promised")


def _run(path: Path, epoch: str, count: int, crash_at: str | None) -> None:
    if crash_at is not None:
        os.environ[VARIABLE] = crash_at

    async def main() -> None:
        async with opened(path, epoch=epoch) as keeper:
            await asyncio.gather(*(keeper.keep(one(float(number + 1))) for number in range(count)))
            _promised(path, epoch).touch()
            await asyncio.sleep(LONG)

    asyncio.run(main())
