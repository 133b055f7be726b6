"""How packs and rejections get to the store and on to handlers, also with one that fails."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from iotxmpp.backoff import Backoff
from iotxmpp.controller import writer as writer_module
from iotxmpp.controller.jobs import Job
from iotxmpp.controller.rejection import Origin, Rejection
from iotxmpp.controller.store import Arrival, BadRowError, Batch, Taken
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import StoreError
from iotxmpp.readings import Reading
from tests.unit.controller_world import until

if TYPE_CHECKING:
    from iotxmpp.controller.store import Store

HALL = Origin(device="hall", node="n", item="e1.1")


@dataclass
class FailingStore:
    """A store that fails on demand, and can be slow."""

    failing: bool = False
    broken: bool = False
    poison: tuple[object, ...] = ()
    records: list[list[str]] = field(default_factory=list)
    arrivals: list[list[int]] = field(default_factory=list)
    refused: list[Rejection] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    closed: bool = False
    gate: threading.Event = field(default_factory=threading.Event)

    def take(self, batch: Batch) -> list[Taken]:
        self.gate.wait(2)
        self.threads.add(threading.get_ident())
        if self.broken:
            raise TypeError("a mistake of ours")
        if self.failing:
            raise StoreError("disk is full")
        values = [reading.value for each in batch.arrivals for reading in each.readings]
        if any(value in self.poison for value in values):
            raise BadRowError("no such value")
        if batch.records:
            self.records.append([getattr(each, "item", "") for each in batch.records])
        if batch.arrivals:
            self.arrivals.append([each.numbers[0][0] for each in batch.arrivals])
        self.refused += [rejection for each in batch.arrivals for _, rejection in each.rejections]
        return [Taken(readings=each.readings, upto=each.numbers[0][1]) for each in batch.arrivals]

    def rejections(self, *_: object) -> list[Rejection]:
        return []

    def close(self) -> None:
        self.closed = True


def rejection(number: int, payload: str = "") -> Rejection:
    return Origin(device="hall", node="n", item=str(number)).rejection("form", "x", payload)


class Case:
    def __init__(self, store: FailingStore | None = None, *, is_open: bool = False) -> None:
        self.store = store or FailingStore()
        if is_open:
            self.store.gate.set()
        self.failures = 0
        self.lost = 0
        self.settled: list[int] = []
        self.delivered: list[int] = []
        self.handler = asyncio.Event()
        self.handler.set()
        self.writer = Writer(
            cast("Store", self.store),
            on_failure=self._failed,
            on_lost=self._lost,
            backoff=Backoff(first=0.01, longest=0.01),
        )

    def job(self, number: int, value: str | float = 1.0) -> Job:
        reading = Reading(channel="t", value=value, time=1.0, epoch="e1", seq=number)
        arrival = Arrival(
            device="hall", epoch="e1", numbers=((number, number),), readings=(reading,), received=1.0
        )

        async def deliver(taken: Taken) -> None:
            await self.handler.wait()
            self.delivered += [each.seq for each in taken.readings]

        return Job(
            arrival=arrival,
            origin=HALL,
            settled=lambda _taken: self.settled.append(number),
            deliver=deliver,
        )

    async def put(self, *numbers: int) -> None:
        for number in numbers:
            await self.writer.put(self.job(number))

    def _failed(self) -> None:
        self.failures += 1

    def _lost(self, count: int) -> None:
        self.lost += count


def flat(batches: Sequence[Sequence[Any]]) -> list[Any]:
    return [each for batch in batches for each in batch]


async def test_what_waits_goes_into_one_batch_in_order_and_off_the_loop() -> None:
    case = Case()
    await case.put(1)
    await asyncio.sleep(0.01)
    await case.put(2, 3, 4)
    case.writer.keep(rejection(5))
    case.writer.keep(rejection(6))
    assert (case.settled, case.delivered) == ([], [])
    case.store.gate.set()
    await case.writer.drain()
    assert case.store.arrivals == [[1], [2, 3, 4]]
    assert case.store.records == [["5", "6"]]
    assert case.settled == case.delivered == [1, 2, 3, 4]
    assert threading.get_ident() not in case.store.threads
    await case.writer.close()
    assert case.store.closed


async def test_while_there_is_much_to_write_more_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(is_open=True)
    monkeypatch.setattr(writer_module, "GATHER", 0.2)
    await case.put(1, 2)
    await case.writer.drain()
    for number in (3, 4, 5):
        await case.put(number)
        await asyncio.sleep(0)
    await case.writer.drain()
    assert case.store.arrivals == [[1, 2], [3, 4, 5]]
    await case.writer.close()


async def test_what_comes_by_itself_waits_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(is_open=True)
    monkeypatch.setattr(writer_module, "GATHER", 3600.0)
    for number in (1, 2, 3):
        await case.put(number)
        await case.writer.drain()
    assert case.store.arrivals == [[1], [2], [3]]
    await case.writer.close()


async def test_nothing_is_gathered_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(is_open=True)
    monkeypatch.setattr(writer_module, "GATHER", 3600.0)
    await case.put(1, 2)
    await case.writer.drain()
    case.writer.keep(rejection(3))
    async with asyncio.timeout(2):
        await case.writer.close()
    assert case.store.records == [["3"]]


async def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_JOBS", 3)
    case = Case()
    await case.put(*range(1, 9))
    case.store.gate.set()
    await case.writer.drain()
    assert case.store.arrivals == [[1, 2, 3], [4, 5, 6], [7, 8]]
    await case.writer.close()


async def test_at_the_end_every_record_is_written() -> None:
    case = Case()
    for number in range(writer_module.MAX_RECORDS + 10):
        case.writer.keep(rejection(number))
    case.store.gate.set()
    await case.writer.close()
    assert [len(batch) for batch in case.store.records] == [writer_module.MAX_RECORDS, 10]
    assert case.lost == 0


async def test_while_the_store_fails_nothing_is_acknowledged_nor_delivered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = Case(FailingStore(failing=True), is_open=True)
    await case.put(1, 2)
    case.writer.keep(rejection(1))
    await until(lambda: case.failures >= 3)
    assert (case.settled, case.delivered, case.store.arrivals) == ([], [], [])
    await case.put(3)
    case.store.failing = False
    await until(lambda: len(case.delivered) == 3)
    assert case.settled == case.delivered == flat(case.store.arrivals) == [1, 2, 3]
    assert flat(case.store.records) == ["1"]
    assert "packs and 1 records wait: disk is full" in caplog.text
    await case.writer.close()
    assert case.lost == 0


async def test_whoever_brings_more_waits_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 2000)
    case = Case(FailingStore(failing=True), is_open=True)
    bringing = asyncio.create_task(case.put(*range(1, 11)))
    await until(lambda: case.failures >= 2)
    assert not bringing.done()
    assert len(case.writer._jobs) < 5
    case.store.failing = False
    await bringing
    await until(lambda: len(case.delivered) == 10)
    assert flat(case.store.arrivals) == list(range(1, 11))
    await case.writer.close()


async def test_a_slow_handler_holds_up_the_store_only_after_some_batches() -> None:
    case = Case(is_open=True)
    case.handler.clear()
    for number in range(1, 4):
        await case.put(number)
        await until(lambda: len(case.settled) == number)  # noqa: B023  # awaited in this turn
    assert case.delivered == []
    for number in range(4, 20):
        await case.put(number)
        await asyncio.sleep(0.005)
    assert len(case.store.arrivals) <= writer_module.AHEAD + 2
    case.handler.set()
    await until(lambda: case.delivered == list(range(1, 20)))
    await case.writer.close()


async def test_at_the_end_a_handler_that_hangs_holds_up_no_record() -> None:
    case = Case(is_open=True)
    case.handler.clear()
    for number in range(1, 20):
        await case.put(number)
        await asyncio.sleep(0.005)
    case.writer.keep(rejection(1))
    async with asyncio.timeout(2):
        await case.writer.close()
    assert flat(case.store.records) == ["1"]
    assert case.settled == flat(case.store.arrivals)
    assert len(case.settled) < 19, "the others come again"


async def test_a_pack_is_settled_before_it_is_delivered() -> None:
    case = Case(is_open=True)
    seen: list[tuple[str, int]] = []

    def job(number: int) -> Job:
        async def deliver(_: Taken) -> None:
            seen.append(("delivered", number))

        return replace(case.job(number), settled=lambda _: seen.append(("settled", number)), deliver=deliver)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the store is done before the loop goes on, or long after
    try:
        for number in range(200):
            await case.writer.put(job(number))
            await case.writer.drain()
    finally:
        sys.setswitchinterval(interval)
    assert seen == [(what, number) for number in range(200) for what in ("settled", "delivered")]
    await case.writer.close()


async def test_at_the_end_packs_that_wait_to_go_one_by_one_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer_module, "GATHER", 3600.0)
    case = Case(FailingStore(poison=("bad",)))
    await case.writer.put(case.job(1, "bad"))
    await case.put(2)
    case.store.gate.set()
    await until(lambda: case.failures == 1)
    async with asyncio.timeout(2):
        await case.writer.close()
    assert (case.settled, case.store.arrivals) == ([], [])


async def test_at_the_end_packs_that_wait_are_dropped_unacknowledged() -> None:
    case = Case(FailingStore(failing=True), is_open=True)
    await case.put(1, 2)
    async with asyncio.timeout(2):
        await case.writer.close()
    assert (case.settled, case.delivered, case.store.arrivals) == ([], [], [])
    assert case.store.closed
    await case.put(3)


async def test_a_store_that_fails_to_the_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(FailingStore(failing=True), is_open=True)
    case.writer.keep(rejection(1))
    case.writer.keep(rejection(2))
    async with asyncio.timeout(2):
        await case.writer.close()
    assert case.lost == 2
    assert "2 records could not be kept" in caplog.text
    case.writer.keep(rejection(3))
    assert case.lost == 3


async def test_memory_is_bounded_while_the_store_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 10_000)
    case = Case(FailingStore(failing=True), is_open=True)
    for number in range(10):
        case.writer.keep(rejection(number, "x" * 2000))
    assert case.lost == 7
    assert "not kept, the store does not take any" in caplog.text
    case.store.failing = False
    await case.writer.rejections()
    assert flat(case.store.records) == ["0", "1", "2"]
    case.writer.keep(rejection(10, "x" * 2000))
    await case.writer.close()
    assert case.lost == 7


async def test_one_bad_row_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(FailingStore(poison=("bad",)))
    await case.put(0)
    await asyncio.sleep(0.01)
    await case.put(1)
    await case.writer.put(case.job(2, "bad"))
    await case.put(3)
    case.store.gate.set()
    await until(lambda: len(case.settled) == 4)
    assert case.store.arrivals == [[0], [1], [2], [3]]
    await case.writer.drain()
    assert case.delivered == [0, 1, 3]
    (refused,) = case.store.refused
    assert (refused.code, refused.payload) == ("store", "t=bad at 1.0")
    assert "now one by one: no such value" in caplog.text
    await case.put(4, 5)
    await case.writer.drain()
    assert case.store.arrivals[4:] == [[4, 5]] or case.store.arrivals[4:] == [[4], [5]]
    await case.writer.close()


async def test_a_mistake_of_ours_does_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(FailingStore(broken=True), is_open=True)
    case.writer.keep(rejection(1))
    await until(lambda: case.lost)
    case.store.broken = False
    case.writer.keep(rejection(2))
    await case.writer.close()
    assert case.store.records == [["2"]]
    assert "a mistake of ours" in caplog.text


async def test_what_was_kept_can_be_read_while_the_store_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_PATIENCE", 0.01)
    case = Case(FailingStore(failing=True), is_open=True)
    case.writer.keep(rejection(1))
    found: Any = await case.writer.rejections()
    assert found == []
    await case.writer.close()
