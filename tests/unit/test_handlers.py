"""What handlers' annotations ask for, and how handlers are called."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import AliasPath, BaseModel, ConfigDict, Field

from iotxmpp.controller import worker as worker_module
from iotxmpp.controller.declared import ChangeHandler, ReadingHandler
from iotxmpp.controller.device import Device
from iotxmpp.controller.handlers import Caller
from iotxmpp.controller.worker import Worker
from iotxmpp.errors import InvalidError
from iotxmpp.link import Presence
from iotxmpp.readings import Reading, Value
from tests.unit.controller_world import until

if TYPE_CHECKING:
    from decimal import Decimal


def reading(channel: str, value: Value, time: float = 1.0) -> Reading:
    return Reading(channel=channel, value=value, time=time)


MIXED = [
    reading("a", 1.5),
    reading("b", 2),
    reading("c", value=True),
    reading("d", "text"),
]


def arguments(function: Callable[..., Any], readings: list[Reading] = MIXED, *channels: str) -> list[object]:
    want = ReadingHandler.of(function, channels).want
    return [want.argument(part) for part in want.parts(readings)]


class Climate(BaseModel):
    temperature: float
    humidity: float = 50.0


class Relays(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: bool = Field(alias="relay/1")
    second: bool = Field(alias="relay/2")


class Named(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    first: bool = Field(alias="relay/1")


class Deep(BaseModel):
    first: bool = Field(validation_alias=AliasPath("a", 0))


class Nothing(BaseModel):
    pass


def test_whole_readings() -> None:
    def handler(reading: Reading) -> None: ...

    assert arguments(handler) == MIXED


def test_plain_values_are_of_the_asked_type() -> None:
    def of_float(value: float) -> None: ...
    def of_int(value: int) -> None: ...
    def of_bool(value: bool) -> None: ...
    def of_str(value: str) -> None: ...
    def of_any(value: Value) -> None: ...
    def of_two(value: float | str) -> None: ...

    assert arguments(of_float) == [1.5, 2.0]
    assert {type(value) for value in arguments(of_float)} == {float}
    assert arguments(of_int) == [2]
    assert arguments(of_bool) == [True]
    assert arguments(of_str) == ["text"]
    assert arguments(of_any) == [1.5, 2, True, "text"]
    assert [type(value) for value in arguments(of_any)] == [float, int, bool, str]
    assert arguments(of_two) == [1.5, 2.0, "text"]


def test_a_named_channel_of_another_type_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def handler(value: float) -> None: ...

    want = ReadingHandler.of(handler, ("d",)).want
    for _ in range(3):
        assert list(want.parts([reading("d", "text")])) == []
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "channel d gives str: not called"
    ]


def test_text_annotations_are_fine() -> None:
    def handler(value: "float", device: "Device") -> None: ...

    assert arguments(handler) == [1.5, 2.0]
    assert ReadingHandler.of(handler, ()).device == "device"


def test_a_model_takes_what_shares_a_time() -> None:
    def handler(climate: Climate) -> None: ...

    readings = [
        reading("temperature", 20.0, 1.0),
        reading("temperature", 21.0, 2.0),
        reading("humidity", 40.0, 1.0),
        reading("door", value=True, time=2.0),
        reading("humidity", 45.0, 3.0),
    ]
    assert arguments(handler, readings) == [
        Climate(temperature=20.0, humidity=40.0),
        Climate(temperature=21.0, humidity=50.0),
    ]


def test_a_model_with_aliases() -> None:
    def relays(model: Relays) -> None: ...
    def named(model: Named) -> None: ...

    both = [reading("relay/1", value=True), reading("relay/2", value=False), reading("x", 1)]
    assert [model.model_dump() for model in arguments(relays, both)] == [{"first": True, "second": False}]  # type: ignore[attr-defined]  # they are models
    assert arguments(relays, both[:1]) == []
    by_name = [reading("first", value=True), reading("second", value=True)]
    assert [model.model_dump() for model in arguments(relays, by_name)] == [{"first": True, "second": True}]  # type: ignore[attr-defined]  # they are models
    assert [model.model_dump() for model in arguments(named, by_name)] == [{"first": True}]  # type: ignore[attr-defined]  # they are models


def test_a_device_parameter_is_optional() -> None:
    def by_type(value: float, where: Device) -> None: ...
    def by_name(value: float, device) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # without an annotation
    def by_keyword(value: float, *, device: Device) -> None: ...
    def without(value: float, factor: float = 2.0) -> None: ...
    def after(value: float, factor: float = 2.0, *, device: Device) -> None: ...

    found = [ReadingHandler.of(each, ()).device for each in (by_type, by_name, by_keyword, without, after)]
    assert found == ["where", "device", "device", None, "device"]


def test_methods_partials_and_objects_are_handlers() -> None:
    class Thing:
        def method(self, value: float, device: Device) -> None: ...
        def __call__(self, value: float) -> None: ...

    def scaled(factor: float, value: float) -> None: ...

    assert ReadingHandler.of(Thing().method, ()).device == "device"
    assert arguments(Thing()) == [1.5, 2.0]
    assert arguments(partial(scaled, 2.0)) == [1.5, 2.0]


def nothing() -> None: ...
def bare(reading) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # that is the mistake
def wrong(reading: list[float]) -> None: ...
def optional(value: float | None) -> None: ...
def too_many(value: float, device: Device, extra: int) -> None: ...
def second(value: float, link: str) -> None: ...
def deep(model: Deep) -> None: ...
def empty(model: Nothing) -> None: ...
def unseen(value: "Decimal") -> None: ...


async def yields(value: float) -> AsyncIterator[float]:
    yield value


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (nothing, "takes nothing"),
        (bare, "annotate it"),
        (wrong, "annotate it as Reading"),
        (optional, "annotate it"),
        (too_many, "parameter extra: only 'device: Device'"),
        (second, "parameter link"),
        (deep, "AliasPath"),
        (empty, "no fields"),
        (unseen, "'Decimal' is not defined; import it outside of TYPE_CHECKING"),
        (yields, "it yields"),
        (3, "no function"),
    ],
)
def test_an_annotation_that_cannot_be_served_is_told(function: Callable[..., Any], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        ReadingHandler.of(function, ())


def test_handlers_of_presence() -> None:
    def one(device: Device) -> None: ...
    def two(device: Device, presence: Presence) -> None: ...
    def bare(device, presence) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # without annotations

    handlers = [ChangeHandler.of(each, Presence, "presence") for each in (one, two, bare)]
    assert [each.name for each in handlers] == [None, "presence", "presence"]


@pytest.mark.parametrize(
    ("function", "says"),
    [(nothing, "must be device"), (wrong, "must be device"), (too_many, "must be device")],
)
def test_a_wrong_handler_of_presence_is_told(function: Callable[..., Any], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        ChangeHandler.of(function, Presence, "presence")


async def test_a_plain_function_runs_off_the_loop_and_an_async_one_on_it() -> None:
    threads = []

    def plain(value: float) -> None:
        threads.append(threading.get_ident())

    async def on_loop(value: float) -> None:
        threads.append(threading.get_ident())

    class Thing:
        async def __call__(self, value: float) -> None:
            threads.append(threading.get_ident())

    for function in (plain, on_loop, Thing()):
        caller = Caller.of(function)
        await caller(1.0)
        caller.close()
    assert [thread == threading.get_ident() for thread in threads] == [False, True, True]


@pytest.mark.parametrize("error", [ValueError("x"), StopIteration(), asyncio.CancelledError()])
async def test_a_raising_handler_is_counted_and_goes_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []
    errors: list[str] = []

    async def work(value: int) -> None:
        if value == 1:
            raise error
        seen.append(value)

    def plain(value: int) -> None:
        if value == 1 and isinstance(error, Exception):
            raise error
        seen.append(value)

    for function in (work, plain):
        worker: Worker[int] = Worker(function, lambda job: ((job,), {}), errors.append)
        for job in range(3):
            await worker.put(job)
        async with asyncio.timeout(2):
            await worker.finish()
        await worker.close()
    assert errors[0].endswith("work")
    assert seen[:2] == [0, 2]
    assert "raised" in caplog.text


async def test_a_full_queue_waits_and_drops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "QUEUE", 2)
    gate = asyncio.Event()
    seen: list[int] = []

    async def slow(value: int) -> None:
        await gate.wait()
        seen.append(value)

    worker: Worker[int] = Worker(slow, lambda job: ((job,), {}), lambda _name: None)

    async def feed() -> None:
        for job in range(6):
            await worker.put(job)

    feeding = asyncio.create_task(feed())
    await until(lambda: "slow" in caplog.text)
    assert not feeding.done()
    gate.set()
    await feeding
    await worker.finish()
    await worker.close()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert caplog.text.count("is slow") == 1
