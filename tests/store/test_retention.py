"""Retention: what goes, what stays, each summary once, and ingest that never waits long."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from iotxmpp.controller.jobs import Job
from iotxmpp.controller.rejection import Origin
from iotxmpp.controller.store import (
    Batch,
    Event,
    History,
    Memory,
    Retention,
    StateChange,
    Store,
    Summary,
    Taken,
    sweep,
)
from iotxmpp.controller.store import downsampling as downsampling_module
from iotxmpp.controller.store.schema import readings, summaries
from iotxmpp.controller.tidying import tidy_for_ever
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import InvalidError
from iotxmpp.intervals import runs_of
from iotxmpp.readings import Reading, Value
from tests.store.samples import NOW, arrival, lost, numbers, reading, rejection, stored, take
from tests.unit.controller_world import World, until

DAY = 86400.0
START = NOW // 3600 * 3600
"""A full hour."""


def fill(store: Store, *values: Value, every: float = 1.0, epoch: str = "e1", start: float = START) -> None:
    """Readings of the temperature, live, that came about when they were read."""
    for first in range(0, len(values), 500):
        some = [
            replace(reading(seq, epoch=epoch, value=value), time=start + every * (seq - 1))
            for seq, value in enumerate(values, 1)
        ][first : first + 500]
        given = arrival(*(each.seq for each in some), epoch=epoch)
        take(store, replace(given, readings=tuple(some), received=start))


def tidy(store: Store, retention: Retention, now: float, most: int = 2000) -> list[tuple[str, int]]:
    chunks = sweep(store.database, retention, now=now, most=most)
    return [(chunk.table, chunk.rows) for chunk in chunks if chunk.rows]


def summed(store: Store, seconds: int) -> list[tuple[Any, ...]]:
    return [
        (each.time - START, each.count, each.least, each.mean, each.greatest)
        for each in History(store.database).entries("hall")
        if isinstance(each, Summary) and each.seconds == seconds
    ]


def left(store: Store) -> int:
    with store.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(readings)).scalar_one())


def counted(store: Store) -> int:
    """Readings of the store, each as itself or in a summary."""
    with store.database.read() as connection:
        in_sums = connection.execute(sa.select(sa.func.sum(summaries.c["count"]))).scalar()
    return left(store) + int(in_sums or 0)


def test_old_numbers_become_summaries_of_a_minute(store: Store) -> None:
    fill(store, *map(float, range(180)))
    assert tidy(store, Retention(raw="1d", minutes="9d"), START + DAY + 120) == [("readings", 120)]
    assert summed(store, 60) == [(0, 60, 0, pytest.approx(29.5), 59), (60, 60, 60, pytest.approx(89.5), 119)]
    assert numbers(store) == list(range(121, 181))


def test_only_whole_minutes_go(store: Store) -> None:
    fill(store, *map(float, range(180)))
    assert tidy(store, Retention(raw="1d", minutes="9d"), START + DAY + 119) == [("readings", 60)]


def test_chunks_are_small_and_join_their_summaries(store: Store) -> None:
    fill(store, *map(float, range(100)))
    assert tidy(store, Retention(raw="1d", hours="9d"), START + 3 * DAY, most=7) == [
        *[("readings", 7)] * 14,
        ("readings", 1),
    ]
    assert summed(store, 3600) == [(0, 99, 0, pytest.approx(49), 98)]
    assert numbers(store) == [100], "the newest live reading stays"
    assert tidy(store, Retention(raw="1d", hours="9d"), START + 3 * DAY) == []


def test_minutes_become_hours_and_hours_go(store: Store) -> None:
    fill(store, *map(float, range(180)), every=60)
    keep = Retention(raw="1d", minutes="3d", hours="30d")
    tidy(store, keep, START + 2 * DAY)
    assert len(summed(store, 60)) == 179
    tidy(store, keep, START + 4 * DAY, most=50)
    assert summed(store, 60) == []
    assert summed(store, 3600) == [
        (0, 60, 0, pytest.approx(29.5), 59),
        (3600, 60, 60, pytest.approx(89.5), 119),
        (7200, 59, 120, pytest.approx(149), 178),
    ]
    tidy(store, keep, START + 30 * DAY + 2 * 3600 - 1)
    assert [row[0] for row in summed(store, 3600)] == [3600, 7200]
    tidy(store, keep, START + 99 * DAY)
    assert summed(store, 3600) == []
    assert numbers(store) == [180]


def test_without_summaries_old_readings_only_go(store: Store) -> None:
    fill(store, 1.0, 2.0, 3.0)
    assert tidy(store, Retention(raw="1h"), START + DAY) == [("readings", 2)]
    assert summed(store, 60) == summed(store, 3600) == []


def test_summaries_that_a_retention_does_not_name_stay(store: Store) -> None:
    fill(store, 1.0, 2.0)
    tidy(store, Retention(raw="1h", minutes="9d"), START + DAY)
    assert tidy(store, Retention(raw="1h"), START + 99 * DAY) == []
    assert len(summed(store, 60)) == 1


def test_every_kind_of_value(store: Store) -> None:
    fill(store, True, False, "text", 2**53 + 1, 7, 0.5)
    tidy(store, Retention(raw="1h", minutes="9d"), START + DAY)
    assert summed(store, 60) == [(0, 4, 0, pytest.approx((2**53 + 8) / 4), 2**53)]
    assert numbers(store) == [6]


def test_the_greatest_numbers_have_a_mean(store: Store) -> None:
    fill(store, 1.7e308, 1.7e308, 1.7e308, 1.7e308)
    tidy(store, Retention(raw="1h", minutes="9d"), START + DAY, most=2)
    assert summed(store, 60) == [(0, 3, 1.7e308, pytest.approx(1.7e308), 1.7e308)]


def test_what_came_late_is_kept_as_long_and_joins_the_summary_that_is_there(store: Store) -> None:
    fill(store, 1.0, 3.0, 9.0)
    keep = Retention(raw="1d", minutes="99d")
    tidy(store, keep, START + 2 * DAY)
    late = replace(reading(4, value=8.0), time=START + 1.5, historical=True)
    take(store, replace(arrival(4), readings=(late,), received=START + 5 * DAY))
    assert tidy(store, keep, START + 5.5 * DAY) == []
    assert tidy(store, keep, START + 7 * DAY) == [("readings", 1)]
    assert summed(store, 60) == [(0, 3, 1, pytest.approx(4), 8)]


def test_exactly_once_holds_for_what_is_gone(store: Store, store_url: str) -> None:
    fill(store, *map(float, range(50)))
    take(store, replace(arrival(60, 61), readings=(reading(60), reading(61))))
    tidy(store, Retention(raw="1h", records="1h"), NOW + DAY)
    for each in (store, Store(store_url)):
        (again,) = take(each, arrival(*range(1, 51), 60, 61))
        assert (again.duplicates, again.readings, again.upto) == (52, (), 50)
        if each is not store:
            each.close()
    assert store.upto("hall") == {"e1": 50}
    assert store.latest("hall") == [replace(reading(61), received=NOW)]


def test_records_go_in_small_steps(store: Store) -> None:
    for number in range(25):
        at = START + number
        state = StateChange(device="hall", state="lost", why="silent", time=at)
        event = Event(device="hall", kind="clone", text="two", time=at)
        store.take(Batch(records=[state, event, replace(rejection(), time=at)]))
        take(store, replace(lost(2 * number + 1, 2 * number + 1), received=at))
    gone = tidy(store, Retention(records="1h"), START + 3620, most=8)
    kinds = ["states", "events", "rejections", "gaps"]
    assert gone == [(kind, rows) for kind in kinds for rows in (8, 8, 4)]
    entries = list(History(store.database).entries("hall", events=True))
    assert len(entries) == 15
    assert {each.time for each in entries} == {START + number for number in range(20, 25)}
    assert store.count() == 5
    (again,) = take(store, lost(1, 1))
    assert again.lost == 0, "a number that was lost is known for ever"


class KilledError(Exception):
    pass


@pytest.mark.parametrize("where", ["between", "within"])
def test_each_reading_is_in_one_summary_also_after_a_kill(
    store: Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, *map(float, range(100)))
    keep = Retention(raw="1d", minutes="9d")
    steps = sweep(store.database, keep, now=START + 3 * DAY, most=9)
    assert len(list(islice(steps, 3))) == 3
    if where == "within":
        with monkeypatch.context() as patched:
            patched.setattr(downsampling_module, "_add", _killed)
            with pytest.raises(KilledError):
                next(steps)
    assert counted(store) == 100, "nothing is gone that is in no summary, and nothing is in both"
    tidy(store, keep, START + 3 * DAY, most=9)
    assert [row[:2] for row in summed(store, 60)] == [(0, 60), (60, 39)]
    assert counted(store) == 100


def _killed(*_: object) -> NoReturn:
    raise KilledError


def test_two_sweeps_at_once_count_nothing_twice(store: Store, store_url: str) -> None:
    fill(store, *map(float, range(400)))
    keep = Retention(raw="1d", minutes="3d", hours="9d")
    others = [Store(store_url) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(tidy, other, keep, START + 4 * DAY, 11) for other in others]:
            done.result(30)
    for other in others:
        other.close()
    assert counted(store) == 400
    assert [row[1:3] for row in summed(store, 3600)] == [(399, 0)]


def test_another_programs_writer_waits_for_a_few_chunks_at_most(store: Store, store_url: str) -> None:
    fill(store, *map(float, range(3000)))
    other = Store(store_url)
    chunks = 0

    def sweeping() -> None:
        nonlocal chunks
        for chunk in sweep(other.database, Retention(raw="1d", minutes="9d"), now=START + 3 * DAY, most=100):
            chunks += bool(chunk.rows)
            time.sleep(0.02)

    waited = []
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(sweeping)
        seq = 0
        while not done.done():
            seq += 1
            before = chunks
            take(store, arrival(seq, epoch="e2"))
            waited.append(chunks - before)
            time.sleep(0.005)
        done.result(30)
    other.close()
    assert chunks == 30
    assert len(waited) >= chunks, "it was writing all the while"
    assert max(waited) <= 5
    assert counted(store) == 3000 + seq


async def test_a_controllers_own_writer_waits_for_one_chunk_at_most(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(store_url)
    fill(store, *map(float, range(1000)), start=time.time() - 3 * DAY)
    writer = Writer(store)
    steps = _Steps()
    monkeypatch.setattr("iotxmpp.controller.tidying.sweep", steps.sweep)
    keep = Retention(raw="1d", minutes="9d")
    tidying = asyncio.create_task(tidy_for_ever(writer, store, keep, every=3600, pause=0.0))
    waited: list[int] = []
    seq = 0
    while steps.done < 100:
        seq += 1
        before = steps.done
        committed = asyncio.Event()
        await writer.put(_job(seq, committed))
        async with asyncio.timeout(10):
            await committed.wait()
        waited.append(steps.done - before)
    await until(lambda: steps.ended)
    tidying.cancel()
    await asyncio.gather(tidying, return_exceptions=True)
    assert len(waited) > 20
    assert max(waited) <= 2, "the step under way, and the one that waits behind it"
    assert counted(store) == 1000 + seq
    await writer.close()


async def test_a_controller_tidies_its_store(store_url: str) -> None:
    store = Store(store_url)
    fill(store, *map(float, range(100)), start=time.time() // 60 * 60 - 3 * DAY)
    world = World()
    try:
        keep = Retention(raw="1d", minutes="9d")
        async with await world.controller(store=store_url, retention=keep):
            await until(lambda: left(store) == 1)
        assert counted(store) == 100
    finally:
        await world.close()
        store.close()


class _Steps:
    """The real sweep in steps of ten rows, counted."""

    def __init__(self) -> None:
        self.done = 0
        self.ended = False

    def sweep(self, *arguments: object, memory: Memory) -> Iterator[object]:
        for chunk in sweep(*arguments, memory=memory, most=10):  # type: ignore[arg-type]  # the real one's
            self.done += 1
            yield chunk
        self.ended = True


def _job(seq: int, committed: asyncio.Event) -> Job:
    async def deliver(_: Taken) -> None:
        committed.set()

    now = time.time()
    new: Reading = replace(reading(seq, epoch="live"), time=now, received=now)
    given = replace(arrival(seq, epoch="live"), numbers=runs_of([seq]), readings=(new,), received=now)
    origin = Origin(device="hall", node="n", item=f"live.{seq}")
    return Job(arrival=given, origin=origin, settled=lambda _: None, deliver=deliver)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"raw": "soon"}, "retention: raw 'soon': give a duration such as"),
        ({"raw": "-1d"}, "raw '-1d'"),
        ({"raw": "0d"}, "raw '0d'"),
        ({"raw": 0}, "raw 0"),
        ({"raw": float("nan")}, "raw nan"),
        ({"raw": "30d", "minutes": "30d"}, "minutes must be longer than raw"),
        ({"raw": "30d", "minutes": "60d", "hours": "45d"}, "hours must be longer than minutes"),
        ({"minutes": "60d"}, "minutes is given without raw"),
        ({"hours": "60d"}, "hours is given without raw"),
    ],
)
def test_a_wrong_retention_is_told(given: dict[str, str | float], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        Retention(**given)


def test_a_retention_in_seconds() -> None:
    assert tuple(Retention(raw="1.5h", minutes="2w", hours="1y").limits) == (5400, 14 * DAY, 365 * DAY, None)
    assert Retention(records=60)
    assert not Retention()


def backlog(store: Store, count: int, received: float, *, start: float = START) -> None:
    """Old readings that came just now, all late."""
    for first in range(1, count + 1, 500):
        seqs = range(first, min(first + 500, count + 1))
        late = [replace(reading(seq), time=start + seq, historical=True) for seq in seqs]
        take(store, replace(arrival(*seqs), readings=tuple(late), received=received))


def steps_of(store: Store, keep: Retention, now: float, memory: Memory, most: int = 100) -> list[int]:
    """What each step took away, where no look is so short that another one joins it."""
    chunks = sweep(store.database, keep, memory=memory, now=now, most=most, longest=0)
    return [chunk.rows for chunk in chunks]


def test_a_long_backlog_that_must_stay_is_looked_at_once_and_in_short_steps(store: Store) -> None:
    backlog(store, 1000, START + 5 * DAY)
    keep, memory = Retention(raw="1d", minutes="9d"), Memory()
    first = steps_of(store, keep, START + 5.5 * DAY, memory)
    assert len(first) >= 10
    assert not any(first)
    assert len(steps_of(store, keep, START + 5.6 * DAY, memory)) <= 4
    fill(store, *map(float, range(10)), epoch="e2", start=START + 4.65 * DAY)
    assert sum(steps_of(store, keep, START + 5.7 * DAY, memory)) == 9, "but for the newest live one"
    assert sum(steps_of(store, keep, START + 7 * DAY, memory)) == 1000
    assert (left(store), counted(store)) == (1, 1010)


def test_a_newest_reading_goes_when_it_is_the_newest_no_more(store: Store) -> None:
    keep, memory = Retention(raw="1d"), Memory()
    fill(store, 1.0, 2.0)
    backlog(store, 300, START + 5 * DAY, start=START + DAY)
    assert sum(steps_of(store, keep, START + 5.5 * DAY, memory)) == 1
    assert sum(steps_of(store, keep, START + 5.5 * DAY, memory)) == 0
    fill(store, 3.0, epoch="e2", start=START + 5.5 * DAY)
    assert sum(steps_of(store, keep, START + 5.6 * DAY, memory)) == 1
    assert ("hall", "e1", 2, "temperature", 2.0) not in stored(store)


def test_records_that_must_stay_are_looked_at_in_short_steps_and_once(store: Store) -> None:
    states = [StateChange(device="hall", state="lost", why="silent", time=NOW + n) for n in range(1000)]
    store.take(Batch(records=states))
    keep, memory = Retention(records="1d"), Memory()
    assert len(steps_of(store, keep, NOW + DAY, memory)) >= 10
    assert len(steps_of(store, keep, NOW + DAY, memory)) <= 3
    assert sum(steps_of(store, keep, NOW + DAY + 500, memory)) == 500


def test_many_channels_with_nothing_to_remove_hold_up_no_pack(store_url: str) -> None:
    store = Store(store_url)
    names = [f"c{number}" for number in range(3000)]
    for first in range(0, 3000, 500):
        seqs = range(first + 1, first + 501)
        some = tuple(replace(reading(seq, channel=names[seq - 1]), time=time.time()) for seq in seqs)
        take(store, replace(arrival(*seqs), readings=some, received=time.time()))
    asked: list[str] = []
    sa.event.listen(store.database._engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    keep = Retention(raw="30d", minutes="180d", hours="5y", records="1y")
    longest = 0.0
    steps = sweep(store.database, keep)
    while True:
        began = time.monotonic()
        if next(steps, None) is None:
            break
        longest = max(longest, time.monotonic() - began)
    store.close()
    assert len(asked) < 60, "some questions for hundreds of channels, not some for each"
    assert longest < 0.5
