"""What is acknowledged before it is written, what is published only then, and what memory holds of it."""

import asyncio
from pathlib import Path

import pytest

from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox import taking
from iotxmpp.agent.outbox.batch import Batch, Rounds
from iotxmpp.agent.outbox.inspection import dead_letters, retry
from iotxmpp.agent.outbox.mark import Mark, Marked
from iotxmpp.agent.outbox.recent import Ahead, Recent
from iotxmpp.agent.outbox.rows import FIRST, LAST, Row, place_of, seq_of
from tests.unit.agent_house import until
from tests.unit.outbox_house import losses_of, numbers, one, opened, trimmed

NEVER = 60.0


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is asked for is committed, after the first reading."""
    monkeypatch.setattr(taking, "COMMIT_EVERY", NEVER)
    monkeypatch.setattr(keeper_module, "TRIM_EVERY", NEVER)


def row(number: int, value: float | str = 1.5) -> Row:
    return Row(place_of(1, number), "level", "m", 1e9, "s", value)


async def test_what_is_acknowledged_before_its_commit_is_not_written(tmp_path: Path, seldom: None) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        waiting = [asyncio.create_task(keeper.keep(one(n))) for n in range(5)]
        await asyncio.sleep(0.01)
        assert keeper.acknowledge({"e1": 4})
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, True, False, False]
        assert keeper.held == 2
        await keeper.flush()
        await asyncio.gather(*waiting)
        assert (keeper.stock.held, await numbers(keeper)) == (2, [5, 6])
    async with opened(tmp_path / "outbox.db", epoch="e2") as keeper:
        assert await numbers(keeper) == [5, 6]
        assert await losses_of(keeper) == []


async def test_all_of_a_run_may_be_acknowledged_unwritten(tmp_path: Path, seldom: None) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        keeper._waiting._last_write = asyncio.get_running_loop().time()  # nothing is due for long
        for value in range(3):
            keeper.take(one(value))
        assert keeper.held == 3
        assert keeper.acknowledge({"e1": 3})
        assert (keeper.held, keeper.oldest) == (0, 0.0)
    async with opened(tmp_path / "outbox.db", epoch="e2") as keeper:
        assert (await numbers(keeper), await losses_of(keeper)) == ([], [])


@pytest.mark.parametrize("written", [0, 1])
async def test_a_collector_with_another_store_is_told_of_what_was_never_written(
    tmp_path: Path, seldom: None, written: int
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        if written:
            await keeper.keep(one())
        keeper._waiting._last_write = asyncio.get_running_loop().time()
        for value in range(5 - written):
            keeper.take(one(value))
        assert keeper.acknowledge({"e1": 4})
        await keeper.notice({"e1": 0})
        assert await losses_of(keeper) == [(place_of(1, 1), place_of(1, 4), "trimmed")]
        await keeper.flush()
        assert await numbers(keeper) == [5]
    async with opened(tmp_path / "outbox.db", epoch="e2") as keeper:
        assert await losses_of(keeper) == [(place_of(1, 1), place_of(1, 4), "trimmed")]


async def test_a_reading_that_is_tried_again_is_published_only_when_it_is_committed(tmp_path: Path) -> None:
    """A crash before its commit would revive it once more, under another number."""
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one(7.0))
        await keeper.bury(FIRST, LAST, "refused")
    retry(path, dead_letters(path))
    async with opened(path, epoch="e2") as keeper:
        seen: list[tuple[int, int]] = []
        write = keeper._outbox.write

        async def watched(*rows: object, **more: object) -> None:
            seen.append((keeper.last_place, keeper.settled_place))
            await write(*rows, **more)  # type: ignore[arg-type]  # passed on

        keeper._outbox.write = watched  # type: ignore[method-assign]  # watched in this test
        keeper.take(one(8.0))
        await keeper.flush(await keeper._outbox.letters_to_retry())
        assert seen
        assert max(last for last, _ in seen) == place_of(2, 1)
        assert keeper.last_place == keeper.settled_place == place_of(2, 2)
        assert await numbers(keeper) == [1, 2]


async def test_the_newest_come_from_the_disk_where_memory_holds_them_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        keeper._recent = Recent(most=3)
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(8)))
        assert [each.value for each in await keeper.newest(place_of(1, 1), 5)] == [0, 1, 2, 3, 4]
        assert [each.value for each in await keeper.newest(place_of(1, 6), 5)] == [5, 6, 7]
        await trimmed(keeper, 5)
        assert [each.value for each in await keeper.newest(place_of(1, 2), 5)] == [5, 6, 7]


async def test_what_memory_holds_no_more_is_not_skipped_before_it_is_committed(
    tmp_path: Path, seldom: None
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        keeper._recent = Recent(most=2)
        for value in range(4):
            keeper.take(one(value))
        assert await keeper.newest(place_of(1, 2), 9) == []
        await keeper.flush()
        assert [each.value for each in await keeper.newest(place_of(1, 2), 9)] == [0, 1, 2, 3]


async def test_what_was_dropped_for_want_of_room_is_not_taken_from_memory(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db", limits={"bytes": 4096}) as keeper:
        for start in range(0, 200, 50):
            await asyncio.gather(*(keeper.keep(one(n)) for n in range(start, start + 50)))
        kept = await numbers(keeper)
        assert len(kept) < 200
        assert [each.place for each in await keeper.newest(place_of(1, 1), 500)] == [
            place_of(1, number) for number in kept
        ]


def test_memory_holds_so_many_readings_and_so_much_text() -> None:
    recent = Recent(most=3, most_text=100)
    recent.add([row(1)])
    recent.add([row(number) for number in range(2, 6)])
    assert (len(recent), recent.first) == (3, place_of(1, 3))
    assert recent.rows(place_of(1, 2), LAST, 9) is None
    assert recent.rows(place_of(1, 4), LAST, 9) == [row(4), row(5)]
    assert recent.rows(place_of(1, 3), place_of(1, 4), 9) == [row(3), row(4)]
    recent.add([row(6, "x" * 90)])
    assert len(recent) == 3
    recent.add([row(7, "x" * 90)])
    assert recent.rows(place_of(1, 7), LAST, 9) == [row(7, "x" * 90)]
    assert len(recent) == 1
    recent.forget(place_of(1, 7))
    assert (len(recent), recent.first) == (0, None)
    recent.add([row(8, "x" * 100)])
    assert len(recent) == 1


async def test_what_is_read_from_the_disk_in_advance_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "AT_ONCE", 6)
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(1, 21)))
        keeper._recent.forget(LAST)
        asked: list[tuple[int, int]] = []
        page = keeper._outbox.page

        async def watched(first: int, last: int, most: int) -> list[Row]:
            asked.append((seq_of(first), most))
            return await page(first, last, most)

        keeper._outbox.page = watched  # type: ignore[method-assign]  # watched in this test
        found = [[row.value for row in await keeper.newest(place_of(1, at), 4)] for at in range(1, 21, 3)]
        assert found == [[n for n in range(at, at + 4) if n <= 20] for at in range(1, 21, 3)]
        assert asked == [(1, 6), (7, 6), (13, 6), (19, 6)]
        assert [row.value for row in await keeper.newest(place_of(1, 2), 2)] == [2, 3]  # back again


async def test_what_the_file_lost_meanwhile_is_not_taken_from_what_was_read_in_advance(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(1, 11)))
        keeper._recent.forget(LAST)
        assert [row.value for row in await keeper.newest(place_of(1, 1), 2)] == [1, 2]
        await keeper.bury(place_of(1, 4), place_of(1, 5), "refused")
        assert [row.value for row in await keeper.newest(place_of(1, 3), 3)] == [3, 6, 7]


async def test_what_is_forgotten_while_it_is_read_is_read_anew(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(1, 6)))
        keeper._recent.forget(LAST)
        page, times = keeper._outbox.page, 0

        async def forgotten(first: int, last: int, most: int) -> list[Row]:
            nonlocal times
            times += 1
            rows = await page(first, last, most)
            if times == 1:
                keeper._ahead.forget()
            return rows

        keeper._outbox.page = forgotten  # type: ignore[method-assign]  # watched in this test
        assert [row.value for row in await keeper.newest(place_of(1, 2), 9)] == [2, 3, 4, 5]
        assert times == 2


def test_what_was_read_in_advance_is_known_from_where_it_was_wanted_to_where_it_ends() -> None:
    ahead = Ahead()
    ahead.go_to(5)
    assert (len(ahead), ahead.reached) == (0, 4)
    ahead.go_to(place_of(1, 7))
    assert (len(ahead), ahead.reached) == (0, place_of(1, 6))
    ahead.add([row(7), row(8)], place_of(1, 9))
    ahead.go_to(place_of(1, 8))
    assert (ahead.rows(9), ahead.reached) == ([row(8)], place_of(1, 9))
    ahead.go_to(place_of(1, 10))
    assert (ahead.rows(9), ahead.reached) == ([], place_of(1, 9))
    ahead.go_to(place_of(1, 7))
    assert (ahead.rows(9), ahead.reached) == ([], place_of(1, 6))


async def test_the_newest_number_that_was_given_out_is_marked_though_some_were_in_between(
    tmp_path: Path,
) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(1, 11)))
        for number in range(1, 11):
            keeper.given_out(place_of(1, number))
        await keeper.page(FIRST, LAST, 1)  # after what the disk's thread was asked for before
        assert Mark(path).read() == Marked("e1", 10, 10)


async def test_a_task_that_has_ended_is_not_waited_for() -> None:
    rounds = Rounds()

    async def nothing() -> None:
        pass

    task = asyncio.current_task()
    assert task is not None
    ended = asyncio.create_task(nothing())
    going = asyncio.create_task(asyncio.sleep(NEVER))
    await ended
    rounds.begin([going, task, ended])
    assert not rounds.complete(task, 99)
    rounds.begin([task, ended])
    assert rounds.complete(task, 99)
    assert not rounds.complete(task, 99)
    going.cancel()


async def test_a_batch_that_fails_tells_all_who_wait() -> None:
    batch = Batch()
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
    for place, future in enumerate(futures, 1):
        batch.wait(place, future)
    futures[1].cancel()
    batch.acknowledged(1)
    batch.end(OSError("full"))
    assert futures[0].result() is None
    assert isinstance(futures[2].exception(), OSError)


async def test_half_a_second_after_the_last_commit_the_next_is_due(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        keeper.take(one())
        assert keeper.settled_place == place_of(1, 1)
        await until(lambda: keeper.settled_place == place_of(1, 2))
