"""An outbox whose disk is full, fails, or damages its file while it is used."""

import asyncio
import errno
from contextlib import suppress
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.rows import place_of, seq_of
from iotxmpp.agent.outbox.schema import FileLock
from iotxmpp.agent.presence import Problems
from iotxmpp.backoff import Backoff
from iotxmpp.delivery import Gap
from iotxmpp.errors import OutboxFullError, StoreError
from tests.unit.agent_house import until
from tests.unit.outbox_disk import Disk
from tests.unit.outbox_house import losses_of, numbers, one, opened, set_aside, told_by, trimmed


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


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
    problems = Problems()
    async with opened(tmp_path / "outbox.db", limits={"bytes": 4096}, problems=problems) as keeper:
        disk.fill()
        for _ in range(5):
            await asyncio.gather(*(keeper.keep(one(n)) for n in range(100)))
        assert keeper.held <= 4096 // 36
        assert keeper.stock.dropped == 500 - keeper.held
        disk.fault = None
        await until(lambda: not problems.texts(), 30)  # all of it is on the disk, and none in memory any more
        assert keeper.state == "disk"
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
    problems = Problems()
    async with opened(tmp_path / "outbox.db", problems=problems) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(3)))
        disk.fill()
        await keeper.keep(one(3), urgent=True)
        assert keeper.state == "memory"
        disk.damage()
        disk.slow = 0.2
        await numbers(keeper)
        await until(lambda: "kept in memory" not in " ".join(problems.texts()), 15)
        assert (keeper.state, await numbers(keeper)) == ("disk", [4])
        assert await told_by(keeper) == [Gap(epoch="e1", reason="corrupt", lost=((1, 3),))]
