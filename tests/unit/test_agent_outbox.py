"""Cutting packs, and the keeper: numbers, commits together, and goes on without its disk."""

import asyncio
import errno
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.clock import Clock, Moment
from iotxmpp.agent.outbox import batch as batch_module
from iotxmpp.agent.outbox import damage as damage_module
from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.notes import EpochNotes, reserved_after
from iotxmpp.agent.outbox.packs import MOST_BYTES, MOST_READINGS, Pack, Timeless, cut
from iotxmpp.agent.outbox.rows import FIRST, LAST, Epoch, Row, place_of, seq_of
from iotxmpp.agent.outbox.salvage import Salvage
from iotxmpp.agent.outbox.schema import FileLock
from iotxmpp.agent.outbox.settings import Limits, OutboxSettings, outbox_settings
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.presence import Problems
from iotxmpp.backoff import Backoff
from iotxmpp.delivery import Gap
from iotxmpp.errors import InvalidError, OutboxFullError, StoreError
from iotxmpp.readings import ClockQuality, Value
from iotxmpp.senml import encode
from tests.unit.agent_house import until
from tests.unit.outbox_house import losses_of, numbers, one, opened, set_aside, told_by, trimmed

NOW = 1_790_000_000.0


# Packs.


class Times:
    """Epoch 1; everything has its own time."""

    def __init__(self) -> None:
        self.epochs = {n: Epoch(id=n, name=f"e{n}", boot="b") for n in (1, 2)}
        self.given: list[int] = []

    def time_of(self, row: Row, moment: Moment) -> tuple[float, ClockQuality] | None:
        return None if row.time < 0 else (row.time, row.clock)

    def epoch_by_id(self, number: int) -> Epoch:
        return self.epochs[number]

    def given_out(self, place: int) -> None:
        self.given.append(place)


MOMENT = Moment(time=NOW, uptime=5.0, quality="s")


def rows_of(samples: Sequence[tuple[int, Value]]) -> list[Row]:
    rows: list[Row] = []
    for number, (count, value) in enumerate(samples):
        for index in range(count):
            rows.append(Row(place_of(1, len(rows) + 1), f"c{index}", "Cel", NOW + number, "s", value))
    return rows


def packs(rows: list[Row]) -> list[Pack]:
    found = []
    while rows:
        pack = cut(rows[: MOST_READINGS + 1], Times(), MOMENT)
        assert isinstance(pack, Pack)
        found.append(pack)
        rows = [row for row in rows if row.place > pack.last]
    return found


@pytest.mark.parametrize(
    "value", ["x" * 16_000, '"' * 16_000, "\x7fä€😀" * 4_000], ids=["plain", "quotes", "wide"]
)
def test_long_texts_go_out_in_packs_of_their_own(value: str) -> None:
    found = packs(rows_of([(1, value)] * 5))
    assert 1 < len(found) <= 5
    assert [reading.seq for pack in found for reading in pack.readings] == [1, 2, 3, 4, 5]


def test_a_sample_larger_than_a_pack_is_cut() -> None:
    found = packs(rows_of([(1200, 1.5)]))
    assert [reading.seq for pack in found for reading in pack.readings] == list(range(1, 1201))
    assert len(found) == 3


def test_a_pack_is_of_one_epoch_and_one_quality() -> None:
    rows = [
        Row(place_of(1, 1), "c", None, NOW, "s", 1),
        Row(place_of(1, 2), "c", None, NOW + 1, "u", 1),
        Row(place_of(1, 4), "c", None, NOW + 2, "u", 1),
        Row(place_of(2, 1), "c", None, NOW + 3, "u", 1),
    ]
    found = packs(rows)
    assert [(pack.epoch, pack.first_seq, len(pack.readings)) for pack in found] == [
        ("e1", 1, 1),
        ("e1", 2, 2),
        ("e2", 1, 1),
    ]
    assert [record.get("sq") for record in json.loads(encode(found[1].readings, device=DeviceId("g")))] == [
        None,
        4,
    ]


def test_readings_whose_time_nobody_knows_make_no_pack() -> None:
    rows = [Row(place_of(1, n), "c", None, -1.0 if n < 3 else NOW, "s", 1) for n in range(1, 5)]
    assert cut(rows, Times(), MOMENT) == Timeless(first=place_of(1, 1), last=place_of(1, 2))


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([1, 2.5, True, "text", "<&'\">" * 500])), max_size=120
    )
)
def test_packs_are_consecutive_small_enough_and_keep_samples_whole(samples: list[tuple[int, Value]]) -> None:
    found = packs(rows_of(samples))
    numbers = [reading.seq for pack in found for reading in pack.readings]
    assert numbers == list(range(1, sum(count for count, _ in samples) + 1))
    for pack in found:
        assert len(pack.readings) <= MOST_READINGS
        text = encode(pack.readings, device=DeviceId("greenhouse"))
        escaped = sum(6 if character in "\"'&<>" else 1 for character in text)
        assert escaped <= MOST_BYTES or len({reading.time for reading in pack.readings}) == 1
    for before, after in pairwise(found):
        if before.readings[-1].time == after.readings[0].time:
            # Only a sample that is itself too large for a pack is cut.
            assert before.readings[0].time == before.readings[-1].time


# The keeper.


class Disk:
    """The disk under the outbox: counts what is written, and fails when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits: list[int] = []
        self.fault: Exception | None = None
        write, absorb, page = DiskOutbox.write, DiskOutbox.absorb, DiskOutbox.page
        start = DiskOutbox.__init__
        disk = self

        def counted(outbox: DiskOutbox, rows: Sequence[Row] = (), **more: Any) -> None:  # noqa: ANN401
            disk.check()
            write(outbox, rows, **more)
            if rows:
                disk.commits.append(len(rows))

        def absorbed(outbox: DiskOutbox, *more: Any) -> None:  # noqa: ANN401
            disk.check()
            absorb(outbox, *more)

        def paged(outbox: DiskOutbox, *more: int) -> list[Row]:
            if (
                disk.fault is not None
                and getattr(disk.fault, "sqlite_errorcode", 0) == sqlite3.SQLITE_CORRUPT
            ):
                disk.check()
            return page(outbox, *more)

        def started(outbox: DiskOutbox, path: Path, limits: Limits | None = None) -> None:
            if not isinstance(disk.fault, sqlite3.DatabaseError):
                disk.check()
            start(outbox, path, limits)

        def unreadable(_: Path | None, expected: Sequence[Epoch]) -> Salvage:
            return Salvage(None, expected)

        monkeypatch.setattr(damage_module, "Salvage", unreadable)
        monkeypatch.setattr(DiskOutbox, "write", counted)
        monkeypatch.setattr(DiskOutbox, "absorb", absorbed)
        monkeypatch.setattr(DiskOutbox, "page", paged)
        monkeypatch.setattr(DiskOutbox, "__init__", started)

    def check(self) -> None:
        if self.fault is not None:
            fault = self.fault
            if getattr(fault, "sqlite_errorcode", 0) == sqlite3.SQLITE_CORRUPT:
                self.fault = None  # the next file is a good one
            raise fault

    def fill(self) -> None:
        self.fault = sqlite3.OperationalError("database or disk is full")

    def damage(self) -> None:
        self.fault = sqlite3.DatabaseError("database disk image is malformed")
        self.fault.sqlite_errorcode = sqlite3.SQLITE_CORRUPT


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


async def test_a_lone_reading_does_not_wait(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        started = asyncio.get_running_loop().time()
        await keeper.keep(one())
        assert asyncio.get_running_loop().time() - started < keeper_module.COMMIT_EVERY / 2
        assert disk.commits == [1]


async def test_many_wait_for_one_commit(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        started = asyncio.get_running_loop().time()
        waiting = [asyncio.create_task(keeper.keep(one(n))) for n in range(60)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)
        assert 0.3 < asyncio.get_running_loop().time() - started < 0.8
        assert disk.commits == [1, 60]


async def test_a_hundred_readings_do_not_wait(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(100)))
        assert asyncio.get_running_loop().time() - started < 0.3
        assert disk.commits == [1, 100]


async def test_an_alarm_is_committed_at_once_with_what_waits(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        waiting = asyncio.create_task(keeper.keep(one()))
        await asyncio.sleep(0.02)
        started = asyncio.get_running_loop().time()
        await keeper.keep(one(), urgent=True)
        assert asyncio.get_running_loop().time() - started < 0.3
        await waiting
        assert disk.commits == [1, 2]


async def test_whoever_writes_one_after_another_waits_for_the_disk_alone(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        started = asyncio.get_running_loop().time()
        for value in range(20):
            await keeper.keep(one(value))
        assert asyncio.get_running_loop().time() - started < 2.0
        assert disk.commits == [1] * 20


async def test_no_loop_of_single_readings_wears_the_disk_out(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "SINGLES", 5)
    monkeypatch.setattr(batch_module, "SINGLES_A_SECOND", 0.0)
    async with opened(tmp_path / "outbox.db") as keeper:
        started = asyncio.get_running_loop().time()
        for value in range(8):
            await keeper.keep(one(value))
        # The first does not wait, nor do five more; the last two wait for half a second each.
        assert 0.8 < asyncio.get_running_loop().time() - started < 1.8


async def write_and_wait(keeper: Keeper, *, tasks: int, times: int, pause: float = 0.0) -> float:
    """Tasks that each wait for one reading before the next; the seconds that this takes."""

    async def some() -> None:
        for value in range(times):
            await keeper.keep(one(value))
            if pause:
                await asyncio.sleep(pause)

    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(some() for _ in range(tasks)))
    return asyncio.get_running_loop().time() - started


@pytest.mark.parametrize("tasks", [2, batch_module.ENOUGH])
async def test_tasks_do_not_wait_for_more_once_all_are_back(tmp_path: Path, disk: Disk, tasks: int) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        assert await write_and_wait(keeper, tasks=tasks, times=10) < 2.0
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
        assert await write_and_wait(keeper, tasks=tasks, times=3, pause=pause) > 0.8
    assert disk.commits == [tasks] * 3


async def test_enough_tasks_need_no_allowance(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "SINGLES", 0)
    monkeypatch.setattr(batch_module, "SINGLES_A_SECOND", 0.0)
    async with opened(tmp_path / "outbox.db") as keeper:
        assert await write_and_wait(keeper, tasks=batch_module.ENOUGH, times=10) < 2.0
    assert disk.commits == [batch_module.ENOUGH] * 10


async def test_readings_that_nobody_waits_for_are_committed_twice_a_second(
    tmp_path: Path, disk: Disk
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        for value in range(60):
            keeper.take(one(value))
            await asyncio.sleep(0.02)
        await until(lambda: sum(disk.commits) == 60)
    assert len(disk.commits) <= 5


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


async def test_a_full_outbox_rejects_where_it_was_told_to(tmp_path: Path) -> None:
    limits = {"bytes": 4096, "channels": {"safe": "reject"}}
    async with opened(tmp_path / "outbox.db", limits=limits) as keeper:
        held = 4096 // 36
        for _ in range(held):
            await keeper.keep(one(channel="safe"))
        with pytest.raises(OutboxFullError, match="safe: the outbox is full"):
            await keeper.keep(one(channel="safe"))
        with pytest.raises(OutboxFullError):
            keeper.take(one(channel="safe"))
        assert (keeper.held, keeper.stock.dropped) == (held, 0)
        keeper.acknowledge({"e1": held})
        await until(lambda: keeper.stock.held == 0)
        await keeper.keep(one(channel="safe"))
        assert await numbers(keeper) == [held + 1]


async def test_a_full_disk_means_memory_until_there_is_room_again(tmp_path: Path, disk: Disk) -> None:
    problems = Problems()
    async with opened(tmp_path / "outbox.db", problems=problems) as keeper:
        await keeper.keep(one(1))
        disk.fill()
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(3)))
        assert (keeper.state, keeper.held) == ("memory", 4)
        assert "readings are kept in memory: " in problems.texts()[0]
        assert "database or disk is full" in problems.texts()[0]
        assert await numbers(keeper) == [1, 2, 3, 4]
        keeper.acknowledge({"e1": 2})
        assert await numbers(keeper) == [3, 4]
        await keeper.bury(place_of(1, 3), place_of(1, 3), "bad")
        await until(lambda: keeper.held == 1)
        disk.fault = None
        await until(lambda: keeper.state == "disk")
        await until(lambda: not problems.texts())
        assert (keeper.held, keeper.stock.dead) == (1, 1)
        await keeper.keep(one(5))
    async with opened(tmp_path / "outbox.db", epoch="e2") as keeper:
        assert await numbers(keeper) == [4, 5]
        assert [(seq_of(each.first), each.reason) for each in await keeper.losses(0, 9)] == [
            (3, "dead-letter")
        ]


async def test_what_is_in_memory_is_tried_to_be_saved_at_the_end(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        keeper._outbox._trouble._backoff = Backoff(choose=lambda low, high: 60.0)
        disk.fill()
        await keeper.keep(one(1))
        assert keeper.state == "memory"
        disk.fault = None
    async with opened(tmp_path / "outbox.db", epoch="e2") as keeper:
        assert await numbers(keeper) == [1]


async def test_memory_is_bounded_while_the_disk_fails(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db", limits={"bytes": 4096}) as keeper:
        disk.fill()
        for _ in range(5):
            await asyncio.gather(*(keeper.keep(one(n)) for n in range(100)))
        assert keeper.held <= 4096 // 36
        assert keeper.stock.dropped == 500 - keeper.held
        disk.fault = None
        await until(lambda: keeper.state == "disk")
        await until(lambda: keeper.stock.losses > 0)
        losses = await keeper.losses(0, 10)
        assert [(seq_of(each.first), seq_of(each.last)) for each in losses] == [(1, 500 - keeper.held)]


async def test_a_directory_that_cannot_be_made_means_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problems = Problems()
    async with opened(tmp_path / "file" / "outbox.db", problems=problems) as keeper:
        await keeper.keep(one())
        assert (keeper.state, await numbers(keeper)) == ("memory", [1])
        assert "readings are kept in memory" in problems.texts()[0]
        (tmp_path / "file").unlink()
        await until(lambda: keeper.state == "disk")
        await until(lambda: keeper.stock.held == 1)
        assert await numbers(keeper) == [1]
        await until(lambda: not problems.texts())


async def test_two_agents_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as first:
        with pytest.raises(StoreError, match=r"outbox\.db: another agent uses it; end that one, or give"):
            async with opened(path, epoch="e2"):
                pass
        await first.keep(one())
        assert (first.state, await numbers(first)) == ("disk", [1])
    async with opened(path, epoch="e2") as second:
        assert (second.state, second.held) == ("disk", 1)


def has_taken(path: Path, locks: list[FileLock]) -> bool:
    """Tries to take the lock of an outbox, as another agent does."""
    with suppress(BlockingIOError):
        locks.append(FileLock(path))
    return bool(locks)


async def test_an_agent_whose_file_another_took_meanwhile_goes_on_in_memory(
    tmp_path: Path, disk: Disk
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    async with opened(path, problems=problems) as keeper:
        await keeper.keep(one())
        disk.fault = OSError(errno.EIO, "Input/output error")
        await keeper.keep(one())
        other: list[FileLock] = []
        await until(lambda: has_taken(path, other))
        disk.fault = None
        await until(lambda: "another agent uses it" in " ".join(problems.texts()))
        assert keeper.state == "memory"
        other.pop().release()
        await until(lambda: keeper.state == "disk" and not problems.texts())
        assert await numbers(keeper) == [1, 2]


async def test_a_file_that_is_none_is_moved_aside_at_the_start(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    path.write_bytes(b"no database" * 1000)
    async with opened(path, problems=problems) as keeper:
        await keeper.keep(one())
        assert (keeper.state, await numbers(keeper)) == ("disk", [1])
        assert "nobody can tell how many readings are lost" in problems.texts()[0]
    assert [each.read_bytes() for each in set_aside(tmp_path)] == [b"no database" * 1000]


async def test_a_file_that_is_damaged_while_it_is_used_is_replaced_and_the_loss_told(
    tmp_path: Path, disk: Disk
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    async with opened(path) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(5)))
    async with opened(path, epoch="e2", problems=problems) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(3)))
        disk.damage()
        await keeper.keep(one(9))
        assert (keeper.state, keeper.held) == ("disk", 1)
        assert await numbers(keeper) == [4]
        losses = [(each.first, each.last, each.reason) for each in await keeper.losses(0, 9)]
        assert losses == [
            (place_of(1, 1), place_of(1, 5), "corrupt"),
            (place_of(2, 1), place_of(2, 3), "corrupt"),
        ]
        assert "malformed" in problems.texts()[0]
    assert set_aside(tmp_path)


async def test_damage_after_everything_was_trimmed_loses_nothing(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(9)))
        await trimmed(keeper, 9)
        disk.damage()
        await keeper.keep(one(9))
        assert (keeper.state, await numbers(keeper)) == ("disk", [10])
        assert (await losses_of(keeper), await told_by(keeper)) == ([], [])
    assert set_aside(tmp_path)


async def test_damage_after_a_part_was_trimmed_loses_the_rest(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(9)))
        await trimmed(keeper, 5)
        disk.damage()
        await keeper.keep(one(9))
        assert await told_by(keeper) == [Gap(epoch="e1", reason="corrupt", lost=((6, 9),))]


async def test_what_is_in_memory_is_not_lost_with_a_damaged_file(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(3)))
        disk.fill()
        await keeper.keep(one(3), urgent=True)
        assert keeper.state == "memory"
        disk.damage()
        await numbers(keeper)
        await asyncio.sleep(0.1)
        assert (keeper.state, await numbers(keeper)) == ("disk", [4])
        assert await told_by(keeper) == [Gap(epoch="e1", reason="corrupt", lost=((1, 3),))]


def note_inverted(path: Path, *, first: int = 10, last: int = 9) -> None:
    with sqlite3.connect(path) as other:
        other.execute(
            "INSERT INTO losses (first, last, reason) VALUES (?, ?, 'corrupt')",
            (place_of(1, first), place_of(1, last)),
        )
    other.close()


async def test_an_inverted_loss_on_disk_is_forgotten_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
    note_inverted(path)
    async with opened(path, epoch="e2") as keeper:
        assert (await losses_of(keeper), await numbers(keeper)) == ([], [1])


async def test_an_inverted_loss_does_not_end_the_publishing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
        note_inverted(path)
        await keeper._outbox.lose(place_of(1, 2), place_of(1, 3), "full")
        note_inverted(path, first=0, last=5)
        await keeper._outbox.lose(place_of(1, 8), place_of(1, 7), "full")
        await keeper.bury(place_of(1, 1), place_of(1, 1), "bad")
        note_inverted(path)
        await keeper._outbox.set_offset("none", 0.0)  # it looks at the file anew
        told = await told_by(keeper)
        assert [(gap.reason, gap.lost) for gap in told] == [
            ("full", ((2, 3),)),
            ("dead-letter", ((1, 1),)),
        ]


def spoil(path: Path) -> None:
    """Damages a file that nobody uses."""
    path.write_bytes(b"no database" * 1000)


async def test_damage_while_no_agent_runs_is_told_from_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(5)))
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
    spoil(path)
    for epoch in ("e3", "e4"):  # the loss is on disk, until it is acknowledged
        async with opened(path, epoch=epoch) as keeper:
            assert await told_by(keeper) == [
                Gap(epoch="e1", reason="corrupt", lost=((1, 5),)),
                Gap(epoch="e2", reason="corrupt", lost=((1, 1),)),
            ]
    async with opened(path, epoch="e5") as keeper:
        assert keeper.acknowledge({"e1": 5, "e2": 1})
    async with opened(path, epoch="e6") as keeper:
        assert await told_by(keeper) == []


async def test_the_numbers_of_the_running_agent_are_not_lost_with_what_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
    spoil(path)
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        assert await numbers(keeper) == [1]
        assert [gap.epoch for gap in await told_by(keeper)] == ["e1"]


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"{",
        b'{"epochs": [{"id": 1}]}',
        b'{"epochs": [{"id":1,"name":"<","boot":"b","first":1,"last":2}]}',
    ],
)
async def test_notes_that_cannot_be_read_say_nothing(tmp_path: Path, notes: bytes) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
    spoil(path)
    path.with_name("outbox.db.epoch").write_bytes(notes)
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        told = [Gap(epoch="e1", reason="corrupt", lost=((1, 1),))]  # the mark knows that much
        assert (keeper.state, await told_by(keeper)) == ("disk", told)


async def test_notes_that_cannot_be_written_are_no_harm(tmp_path: Path) -> None:
    (tmp_path / "outbox.db.epoch").mkdir()
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        assert keeper.state == "disk"


async def test_notes_are_written_before_the_readings_and_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, noted, calls, write = tmp_path / "outbox.db", [0], [], EpochNotes.write
    write_rows = DiskOutbox.write

    def counted(notes: EpochNotes, epochs: Sequence[Epoch], running: str | None) -> bool:
        noted.append(max(seq_of(each.last) for each in epochs))
        return write(notes, epochs, running)

    def checked(outbox: DiskOutbox, rows: Sequence[Row] = (), **more: Any) -> None:  # noqa: ANN401  # passed on
        if rows:
            calls.append((seq_of(rows[-1].place), noted[-1]))
        write_rows(outbox, rows, **more)

    monkeypatch.setattr(EpochNotes, "write", counted)
    monkeypatch.setattr(DiskOutbox, "write", checked)
    async with opened(path) as keeper:
        for size in (1, 20, 500, *(50 for _ in range(200)), 3000):
            for number in range(size):
                keeper.take(one(number))
            await keeper.flush()
    assert calls[-1][0] == 13_521
    assert all(last <= upto <= reserved_after(last) for last, upto in calls)
    assert len(noted) < 50
    assert noted[-1] == 13_521  # an orderly end leaves the exact number


def test_numbers_are_noted_ahead_by_a_part_of_what_was_given() -> None:
    ahead = {seq: reserved_after(seq) - seq for seq in (0, 1, 100, 800, 8_000, 1_000_000)}
    assert ahead == {0: 0, 1: 16, 100: 16, 800: 100, 8_000: 1000, 1_000_000: 1000}


async def test_a_file_of_another_version_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    DiskOutbox(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 3")
    other.close()
    with pytest.raises(StoreError, match="version 3"):
        async with opened(path):
            pass


# Clocks.


class Clocks:
    """Clocks that a test sets."""

    def __init__(self, wall: float = NOW, up: float = 100.0, boot: str = "boot-1") -> None:
        self.wall, self.up, self.boot, self.sync = wall, up, boot, True

    def clock(self) -> Clock:
        return Clock(
            wall=lambda: self.wall, uptime=lambda: self.up, synchronised=lambda: self.sync, boot=self.boot
        )


async def pack_of(keeper: Keeper) -> Pack | Timeless:
    return cut(await keeper.page(FIRST, LAST, 501), keeper, keeper.moment())


async def test_readings_keep_their_time_and_its_quality(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        await keeper.keep(one())
        await keeper.keep(one(), NOW - 500.0)
        clocks.sync, clocks.up, clocks.wall = False, 200.0, NOW + 100
        await keeper.keep(one())
        rows = await keeper.page(FIRST, LAST, 9)
    assert [(row.time, row.clock) for row in rows] == [(NOW, "s"), (NOW - 500, "s"), (NOW + 100, "u")]


async def test_jumps_of_an_hour_lose_and_reorder_nothing(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        for number, jump in enumerate((0.0, 3600.0, -3600.0, 0.0)):
            clocks.wall = NOW + jump
            await keeper.keep(one(number))
        rows = await keeper.page(FIRST, LAST, 9)
    assert [row.value for row in rows] == [0, 1, 2, 3]
    assert [row.time - NOW for row in rows] == [0, 3600, -3600, 0]


async def test_without_a_clock_the_age_of_readings_is_sent(tmp_path: Path) -> None:
    clocks = Clocks(wall=12.0, up=50.0)
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        await keeper.keep(one())
        clocks.up = 60.0
        await keeper.keep(one())
        clocks.up = 65.5
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert [(reading.time, reading.clock) for reading in pack.readings] == [(-15.5, "r"), (-5.5, "r")]
        assert keeper.oldest == 15.5


async def test_a_clock_set_in_the_same_boot_gives_readings_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "CLOCK_EVERY", 0.01)
    clocks = Clocks(wall=12.0, up=50.0)
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        await keeper.keep(one())
        clocks.wall, clocks.up = NOW, 150.0
        await until(lambda: keeper.epoch_by_id(1).offset is not None)
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert [(reading.time, reading.clock) for reading in pack.readings] == [(NOW - 100, "u")]
    later = Clocks(wall=NOW + 9000, up=3.0, boot="boot-2")
    async with opened(tmp_path / "outbox.db", epoch="e2", clock=later.clock()) as keeper:
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert pack.readings[0].time == NOW - 100


async def test_the_time_is_found_by_the_next_run_in_the_same_boot(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db", clock=Clocks(wall=12.0, up=50.0).clock()) as keeper:
        await keeper.keep(one())
    async with opened(tmp_path / "outbox.db", epoch="e2", clock=Clocks(up=150.0).clock()) as keeper:
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert pack.readings[0].time == NOW - 100


async def test_the_time_of_a_boot_that_never_had_one_cannot_be_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db", clock=Clocks(wall=12.0, up=50.0).clock()) as keeper:
        await keeper.keep(one())
    async with opened(tmp_path / "outbox.db", epoch="e2", clock=Clocks(boot="boot-2").clock()) as keeper:
        assert await pack_of(keeper) == Timeless(first=place_of(1, 1), last=place_of(1, 1))


# Settings.


def default_files() -> list[Path | None]:
    accounts = ("g@example.org", "gateway@example.org", "g@example.com")
    return [outbox_settings(None).file(jid, DeviceId("g")) for jid in accounts]


def test_an_outbox_is_a_path_memory_or_whole_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = DeviceId("g")
    assert outbox_settings("memory").file("g@example.org", device) is None
    assert outbox_settings("here/x.db").file("g@example.org", device) == Path("here/x.db").absolute()
    whole = OutboxSettings(path=tmp_path / "x.db", bytes=10_000)
    assert outbox_settings(whole) is whole
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert default_files() == [
        tmp_path / "xdg" / "iotxmpp" / "g@example.org" / "outbox.db",
        tmp_path / "xdg" / "iotxmpp" / "gateway@example.org" / "g" / "outbox.db",
        tmp_path / "xdg" / "iotxmpp" / "g@example.com" / "outbox.db",
    ]
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path))  # which several devices may share
    assert default_files() == [
        tmp_path / "g@example.org" / "outbox.db",
        tmp_path / "gateway@example.org" / "g" / "outbox.db",
        tmp_path / "g@example.com" / "outbox.db",
    ]
    with pytest.raises(InvalidError, match="outbox"):
        outbox_settings(5)  # type: ignore[arg-type]


# What it costs.


def written() -> int:
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def test_a_reading_costs_less_than_600_bytes_of_writing(tmp_path: Path) -> None:
    """A hundred readings a second for five minutes, each commit and each trim as the keeper makes them."""
    before, seq = written(), 0
    outbox = DiskOutbox(tmp_path / "outbox.db")
    outbox.begin(Epoch(id=1, name="e1", boot="b1"))
    for half_second in range(600):
        batch = [
            Row(place_of(1, seq + n), "level", "m", NOW + (seq + n) / 100, "u", n / 7) for n in range(1, 51)
        ]
        seq += 50
        trims = [(place_of(1, 0), place_of(1, seq - 100))] if half_second % 4 == 3 else []
        outbox.write(batch, trims=trims, now=NOW)
    outbox.close()
    assert (written() - before) / seq < 600


def resident() -> int:
    """The process's memory, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def test_memory_does_not_grow_with_the_backlog(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path / "outbox.db")
    outbox.begin(Epoch(id=1, name="e1", boot="b1"))
    write_many(outbox, 1, 5_000)
    before = resident()
    write_many(outbox, 5_001, 200_000)
    outbox.close()
    outbox = DiskOutbox(tmp_path / "outbox.db")
    place, pages = FIRST, 0
    while rows := outbox.page(place, LAST, 500):
        place, pages = rows[-1].place + 1, pages + 1
    assert (outbox.stock.held, pages) == (200_000, 400)
    outbox.close()
    assert resident() - before < 6 * 2**20


def write_many(outbox: DiskOutbox, first: int, last: int) -> None:
    for start in range(first, last + 1, 5_000):
        outbox.write(
            [
                Row(place_of(1, seq), "level", "m", NOW + seq, "s", seq / 7)
                for seq in range(start, start + 5_000)
            ]
        )
