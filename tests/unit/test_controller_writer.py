"""How rejections get to the store, also to one that fails."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from iotxmpp.backoff import Backoff
from iotxmpp.controller import writer as writer_module
from iotxmpp.controller.rejection import Origin, Rejection
from iotxmpp.controller.writer import RejectionWriter
from iotxmpp.errors import StoreError
from tests.unit.controller_world import until

if TYPE_CHECKING:
    from iotxmpp.controller.store import Store


@dataclass
class FailingStore:
    """A store that fails on demand, and can be slow."""

    failing: bool = False
    broken: bool = False
    batches: list[list[str]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    closed: bool = False
    gate: threading.Event = field(default_factory=threading.Event)

    def keep_rejections(self, rejections: Sequence[Rejection]) -> None:
        self.gate.wait(2)
        self.threads.add(threading.get_ident())
        if self.broken:
            raise TypeError("a mistake of ours")
        if self.failing:
            raise StoreError("disk is full")
        self.batches.append([each.item for each in rejections])

    def rejections(self, *_: object) -> list[Rejection]:
        return []

    def close(self) -> None:
        self.closed = True


def rejection(number: int, payload: str = "") -> Rejection:
    return Origin(device="hall", node="n", item=str(number)).rejection("form", "x", payload)


class Case:
    def __init__(self, store: FailingStore | None = None) -> None:
        self.store = store or FailingStore()
        self.failures = 0
        self.lost = 0
        self.writer = RejectionWriter(
            cast("Store", self.store),
            on_failure=self._failed,
            on_lost=self._lost,
            backoff=Backoff(first=0.01, longest=0.01),
        )

    def _failed(self) -> None:
        self.failures += 1

    def _lost(self, count: int) -> None:
        self.lost += count


async def test_what_waits_goes_into_one_batch_in_order_and_off_the_loop() -> None:
    case = Case()
    case.writer.keep(rejection(0))
    await asyncio.sleep(0.01)
    for number in range(1, 5):
        case.writer.keep(rejection(number))
    case.store.gate.set()
    await case.writer.rejections()
    assert case.store.batches == [["0"], ["1", "2", "3", "4"]]
    assert threading.get_ident() not in case.store.threads
    await case.writer.close()
    assert case.store.closed


async def test_at_the_end_everything_is_written() -> None:
    case = Case()
    for number in range(writer_module.MAX_BATCH + 10):
        case.writer.keep(rejection(number))
    case.store.gate.set()
    await case.writer.close()
    assert [len(batch) for batch in case.store.batches] == [writer_module.MAX_BATCH, 10]
    assert case.lost == 0


async def test_a_failing_store_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(FailingStore(failing=True))
    case.store.gate.set()
    case.writer.keep(rejection(1))
    await until(lambda: case.failures >= 2)
    case.writer.keep(rejection(2))
    case.store.failing = False
    await case.writer.rejections()
    assert [item for batch in case.store.batches for item in batch] == ["1", "2"]
    assert "rejections wait: disk is full" in caplog.text
    await case.writer.close()
    assert case.lost == 0


async def test_a_store_that_fails_to_the_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(FailingStore(failing=True))
    case.store.gate.set()
    case.writer.keep(rejection(1))
    case.writer.keep(rejection(2))
    async with asyncio.timeout(2):
        await case.writer.close()
    assert case.lost == 2
    assert "2 rejections could not be kept" in caplog.text
    case.writer.keep(rejection(3))
    assert case.lost == 3


async def test_memory_is_bounded_while_the_store_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 10_000)
    case = Case(FailingStore(failing=True))
    case.store.gate.set()
    for number in range(10):
        case.writer.keep(rejection(number, "x" * 2000))
    assert case.lost == 7
    assert "rejection not kept" in caplog.text
    case.store.failing = False
    await case.writer.rejections()
    assert [item for batch in case.store.batches for item in batch] == ["0", "1", "2"]
    case.writer.keep(rejection(10, "x" * 2000))
    await case.writer.close()
    assert case.lost == 7


async def test_a_mistake_of_ours_does_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(FailingStore(broken=True))
    case.store.gate.set()
    case.writer.keep(rejection(1))
    await until(lambda: case.lost)
    case.store.broken = False
    case.writer.keep(rejection(2))
    await case.writer.close()
    assert case.store.batches == [["2"]]
    assert "a mistake of ours" in caplog.text


async def test_what_was_kept_can_be_read_while_the_store_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_PATIENCE", 0.01)
    case = Case(FailingStore(failing=True))
    case.store.gate.set()
    case.writer.keep(rejection(1))
    found: Any = await case.writer.rejections()
    assert found == []
    await case.writer.close()
