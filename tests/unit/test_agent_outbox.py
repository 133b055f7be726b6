"""The keeper of the outbox: numbers, and when readings are committed to the disk."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from iotxmpp.agent.outbox import batch as batch_module
from iotxmpp.agent.outbox import taking
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.rows import FIRST, LAST, place_of
from tests.unit.agent_house import until
from tests.unit.outbox_disk import Disk
from tests.unit.outbox_house import numbers, one, opened

PATIENCE = 30.0
"""Seconds for what does not wait by itself, on a loaded machine."""

HALF_A_SECOND = taking.COMMIT_EVERY - 0.1
"""As a thread sees it that begins a little late, and then in time."""
"""What lies between two commits at least, for clocks that are a little coarse."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_readings_are_numbered_from_one_and_on_disk_when_keep_returns(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        for value in range(3):
            await keeper.keep(one(value))
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as other:
            assert other.execute("SELECT count(*) FROM readings").fetchone() == (3,)
        other.close()
        assert await numbers(keeper) == [1, 2, 3]
        assert (keeper.held, keeper.state) == (3, "disk")
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        assert [row.place for row in await keeper.page(FIRST, LAST, 9)] == [
            *(place_of(1, n) for n in (1, 2, 3)),
            place_of(2, 1),
        ]


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has to wait for others to come waits for longer than any test."""
    monkeypatch.setattr(taking, "COMMIT_EVERY", 3600.0)


async def test_a_lone_reading_does_not_wait(tmp_path: Path, disk: Disk, endless: None) -> None:
    async with opened(tmp_path / "outbox.db") as keeper, asyncio.timeout(PATIENCE):
        await keeper.keep(one())
        assert disk.commits == [1]


async def test_many_wait_for_one_commit(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(keeper.keep(one(n)) for n in range(60)))
        assert disk.commits == [1, 60]
        assert disk.gaps[0] >= HALF_A_SECOND


async def test_a_hundred_readings_do_not_wait(tmp_path: Path, disk: Disk, endless: None) -> None:
    async with opened(tmp_path / "outbox.db") as keeper, asyncio.timeout(PATIENCE):
        await keeper.keep(one())
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(100)))
        assert disk.commits == [1, 100]


async def test_an_alarm_is_committed_at_once_with_what_waits(
    tmp_path: Path, disk: Disk, endless: None
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper, asyncio.timeout(PATIENCE):
        await keeper.keep(one())
        waiting = asyncio.create_task(keeper.keep(one()))
        await asyncio.sleep(0.02)
        await keeper.keep(one(), urgent=True)
        await waiting
        assert disk.commits == [1, 2]


async def test_whoever_writes_one_after_another_waits_for_the_disk_alone(
    tmp_path: Path, disk: Disk, endless: None
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper, asyncio.timeout(PATIENCE):
        for value in range(20):
            await keeper.keep(one(value))
        assert disk.commits == [1] * 20


async def test_no_loop_of_single_readings_wears_the_disk_out(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "SINGLES", 5)
    monkeypatch.setattr(batch_module, "SINGLES_A_SECOND", 0.0)
    monkeypatch.setattr(taking, "COMMIT_EVERY", 1.5)
    async with opened(tmp_path / "outbox.db") as keeper:
        async with asyncio.timeout(PATIENCE):
            for value in range(8):
                await keeper.keep(one(value))
        # The first does not wait, nor do five more; the last two wait for their time each.
        assert [gap > 1.49 for gap in disk.gaps] == [False] * 5 + [True] * 2


async def write_and_wait(keeper: Keeper, *, tasks: int, times: int, pause: float = 0.0) -> None:
    """Tasks that each wait for one reading before the next."""

    async def some() -> None:
        for value in range(times):
            await keeper.keep(one(value))
            if pause:
                await asyncio.sleep(pause)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(some() for _ in range(tasks)))


@pytest.mark.parametrize("tasks", [2, batch_module.ENOUGH])
async def test_tasks_do_not_wait_for_more_once_all_are_back(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, endless: None, tasks: int
) -> None:
    monkeypatch.setattr(batch_module, "AT_ONCE", 60.0)  # on a loaded machine they are back a while later
    async with opened(tmp_path / "outbox.db") as keeper:
        await write_and_wait(keeper, tasks=tasks, times=10)
    assert disk.commits == [tasks] * 10


@pytest.mark.parametrize(
    ("tasks", "pause"),
    [(batch_module.ENOUGH - 1, 0.0), (batch_module.ENOUGH - 1, 0.03)],
    ids=["without a pause", "with pauses"],
)
async def test_no_few_tasks_wear_the_disk_out(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, tasks: int, pause: float
) -> None:
    monkeypatch.setattr(batch_module, "SINGLES", 100 if pause else 0)
    monkeypatch.setattr(batch_module, "SINGLES_A_SECOND", 0.0)
    async with opened(tmp_path / "outbox.db") as keeper:
        await write_and_wait(keeper, tasks=tasks, times=3, pause=pause)
    assert disk.commits == [tasks] * 3
    assert min(disk.gaps) >= HALF_A_SECOND


async def test_enough_tasks_need_no_allowance(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, endless: None
) -> None:
    monkeypatch.setattr(batch_module, "SINGLES", 0)
    monkeypatch.setattr(batch_module, "SINGLES_A_SECOND", 0.0)
    async with opened(tmp_path / "outbox.db") as keeper:
        await write_and_wait(keeper, tasks=batch_module.ENOUGH, times=10)
    assert disk.commits == [batch_module.ENOUGH] * 10


@pytest.mark.parametrize("slow", [0.0, 0.08])
async def test_readings_that_nobody_waits_for_are_committed_twice_a_second(
    tmp_path: Path, disk: Disk, slow: float
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        disk.slow = slow
        for value in range(60):
            keeper.take(one(value))
            await asyncio.sleep(0.02)
        await until(lambda: sum(disk.commits) == 60, PATIENCE)
    assert len(disk.gaps) >= 2
    assert min(disk.gaps) >= HALF_A_SECOND


async def test_what_is_acknowledged_is_gone_at_once_and_trimmed_later(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(10)))
        assert keeper.acknowledge({"e1": 4, "never": 7})
        assert keeper.held == 6
        assert await numbers(keeper) == [5, 6, 7, 8, 9, 10]
        assert keeper.stock.held == 10
        assert not keeper.acknowledge({"e1": 3})
        assert keeper.acknowledge({"e1": 10})
        assert keeper.held == 0
        await until(lambda: keeper.stock.held == 0)
