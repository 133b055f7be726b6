"""Retention beside writers: nobody waits for it long, however much must stay."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from iotxmpp.controller.jobs import Job
from iotxmpp.controller.rejection import Origin
from iotxmpp.controller.store import Arrival, Batch, Memory, Retention, StateChange, Store, Taken, sweep
from iotxmpp.controller.tidying import tidy_for_ever
from iotxmpp.controller.writer import Writer
from iotxmpp.intervals import runs_of
from tests.store.samples import NOW, arrival, reading, stored, take
from tests.store.tidying import DAY, START, counted, fill, left
from tests.unit.controller_world import World, until


def _now(seq: int) -> Arrival:
    """A reading that is too young to go."""
    given = arrival(seq, epoch="e2")
    now = START + 3 * DAY
    return replace(given, readings=tuple(replace(each, time=now) for each in given.readings), received=now)


def test_another_programs_writer_waits_for_a_few_chunks_at_most(store: Store, store_url: str) -> None:
    fill(store, *map(float, range(3000)))
    other = Store(store_url)
    chunks: list[int] = []

    def sweeping() -> None:
        for chunk in sweep(other.database, Retention(raw="1d", minutes="9d"), now=START + 3 * DAY, most=100):
            chunks.extend([chunk.rows] if chunk.rows else [])
            time.sleep(0.02)

    waited = []
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(sweeping)
        seq = 0
        while not done.done():
            seq += 1
            before = len(chunks)
            take(store, _now(seq))
            waited.append(len(chunks) - before)
            time.sleep(0.005)
        done.result(30)
    other.close()
    assert len(chunks) >= 30
    assert max(chunks) <= 100, chunks
    assert 2999 <= sum(chunks) <= 3000, chunks  # the newest one may stay
    assert len(waited) >= len(chunks), "it was writing all the while"
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
    new = replace(reading(seq, epoch="live"), time=now, received=now)
    given = replace(arrival(seq, epoch="live"), numbers=runs_of([seq]), readings=(new,), received=now)
    origin = Origin(device="hall", node="n", item=f"live.{seq}")
    return Job(arrival=given, origin=origin, settled=lambda _: None, deliver=deliver)


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
    list(sweep(store.database, keep))
    store.close()
    assert len(asked) < 60, "some questions for hundreds of channels, not some for each"
