"""From a device's publish to a handler, a metric, and a kept rejection."""

import asyncio
import threading
from urllib.request import urlopen
from xml.etree.ElementTree import Element

import pytest
from pydantic import BaseModel, Field

from iotxmpp.commands import CommandCall, parse_call, result_element
from iotxmpp.controller import Device
from iotxmpp.errors import InvalidError
from iotxmpp.link import Presence, Request
from iotxmpp.readings import Reading
from tests.unit.controller_world import SOON, World, kept, pack, until


async def test_a_hot_reading_makes_the_controller_water(world: World) -> None:
    controller = await world.controller()
    results: asyncio.Queue[object] = asyncio.Queue()
    calls: list[CommandCall] = []

    @controller.on_reading("temperature")
    async def too_hot(reading: Reading, device: Device) -> None:
        if isinstance(reading.value, float) and reading.value > 30:
            results.put_nowait(await device.call("water", seconds=20))

    async def water(request: Request) -> Element:
        calls.append(parse_call(request.payload))
        return result_element(calls[-1], "watered for 20 s")

    async with world.device("hall") as hall, controller:
        hall.link.serve("{http://jabber.org/protocol/commands}command", water)
        await controller.wait_for("hall", timeout=SOON)
        await hall.read(20)
        await hall.read(31)
        async with asyncio.timeout(SOON):
            assert await results.get() == "watered for 20 s"
    assert [(call.name, call.arguments_json) for call in calls] == [("water", '{"seconds":20}')]
    assert results.empty()


class Climate(BaseModel):
    temperature: float = Field(le=50)
    humidity: float


async def test_handlers_of_every_kind(world: World) -> None:
    controller = await world.controller()
    seen: dict[str, list[object]] = {name: [] for name in ("all", "floats", "doors", "climates", "quiet")}
    threads: set[int] = set()

    @controller.on_reading
    async def everything(reading: Reading, device: Device) -> None:
        seen["all"].append((device.id, reading.channel))

    @controller.on_reading("temperature", "humidity")
    def floats(value: float) -> None:
        threads.add(threading.get_ident())
        seen["floats"].append(value)

    @controller.on_reading()
    async def doors(value: bool, device: Device) -> None:
        seen["doors"].append((value, device.id))

    @controller.on_reading
    async def climates(model: Climate) -> None:
        seen["climates"].append(model)

    @controller.on_reading("pressure")
    async def quiet(reading: Reading) -> None:
        seen["quiet"].append(reading)

    async with world.device("hall") as hall, controller:
        await hall.publish(
            pack(
                "hall",
                {"n": "temperature", "u": "Cel", "v": 21},
                {"n": "humidity", "u": "%RH", "v": 40.5},
                {"n": "door", "vb": True},
            )
        )
        await until(lambda: len(seen["floats"]) == 2 and seen["climates"])
        assert controller.device("hall").readings["humidity"].value == 40.5
        assert set(controller.device("hall").readings) == {"temperature", "humidity", "door"}
    assert seen == {
        "all": [("hall", "temperature"), ("hall", "humidity"), ("hall", "door")],
        "floats": [21.0, 40.5],
        "doors": [(True, "hall")],
        "climates": [Climate(temperature=21, humidity=40.5)],
        "quiet": [],
    }
    assert threading.get_ident() not in threads


async def test_decorators_give_the_users_own_function_back(world: World) -> None:
    controller = await world.controller()

    def one(value: float) -> float:
        return value * 2

    def two(device: Device) -> Device:
        return device

    assert controller.on_reading("temperature")(one) is one
    assert controller.on_reading(one) is one
    assert controller.on_presence(two) is two


async def test_a_sample_that_a_model_refuses_is_kept(world: World) -> None:
    controller = await world.controller()
    given: list[Climate] = []

    @controller.on_reading
    async def climates(model: Climate) -> None:
        given.append(model)

    async with world.device("hall") as hall, controller:
        for value in (60, 20):
            await hall.publish(
                pack(
                    "hall",
                    {"n": "temperature", "u": "Cel", "v": value},
                    {"n": "humidity", "u": "%RH", "v": 1},
                )
            )
        await until(lambda: given)
        (rejection,) = await kept(controller)
        assert controller.device("hall").readings["temperature"].value == 20
    assert given == [Climate(temperature=20, humidity=1)]
    assert rejection.code == "model"
    assert "climates: Climate: temperature: " in rejection.error
    assert rejection.payload == '{"temperature": 60.0, "humidity": 1.0}'
    assert (rejection.item, rejection.publisher) == ("e1.1", "hall@localhost")


async def test_a_raising_and_a_slow_handler_hold_up_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller()
    gate = asyncio.Event()
    seen: list[float] = []
    late: list[float] = []

    @controller.on_reading
    async def raises(value: float) -> None:
        raise ZeroDivisionError(value)

    @controller.on_reading
    async def slow(value: float) -> None:
        await gate.wait()
        late.append(value)

    @controller.on_reading
    async def good(value: float) -> None:
        seen.append(value)

    async with world.device("hall") as hall, controller:
        for value in range(5):
            await hall.read(value)
        await until(lambda: len(seen) == 5)
        await until(lambda: caplog.text.count("raises raised") == 5)
        assert late == []
        gate.set()
    assert late == [0, 1, 2, 3, 4], "what waits at the end is finished"
    assert 'locals>.raises"} 5.0' in controller.metrics.text()


async def test_metrics_are_served_while_it_runs(world: World) -> None:
    controller = await world.controller(metrics_port=0)
    assert controller.metrics_url is None

    def get() -> str:
        with urlopen(str(controller.metrics_url), timeout=SOON) as answer:  # noqa: S310  # our own URL
            return str(answer.read().decode())

    async with world.device("hall") as hall, controller:
        await hall.read(20.5)
        await controller.wait_for("hall", timeout=SOON)
        await until(lambda: controller.device("hall").readings)
        text = await asyncio.to_thread(get)
    assert 'iotxmpp_reading_value{channel="temperature",device="hall",unit="Cel"} 20.5' in text
    assert 'iotxmpp_device_online{device="hall"} 1.0' in text
    assert "iotxmpp_link_up 1.0" in text
    assert "iotxmpp_devices 1.0" in text
    assert controller.metrics_url is None


async def test_presence_is_followed(world: World) -> None:
    controller = await world.controller()
    seen: list[tuple[str, bool, str]] = []

    @controller.on_presence
    async def tell(device: Device, presence: Presence) -> None:
        seen.append((device.state, presence.available, device.status.why if device.status else ""))

    plain: list[Device] = []

    @controller.on_presence
    def also(device: Device) -> None:
        plain.append(device)

    async with controller:
        async with world.device("hall") as hall:
            await hall.say(why="start")
            await controller.wait_for("hall", timeout=SOON)
            await until(lambda: ("online", True, "start") in seen)
            await hall.say(why="heartbeat", uptime=60)
            await until(lambda: getattr(controller.device("hall").status, "uptime", 0) == 60)
            count = len(seen)
        await controller.wait_for("hall", online=False, timeout=SOON)
        await until(lambda: len(seen) > count)
        assert seen[count:] == [("lost", False, "")]
        await until(lambda: len(plain) == len(seen))


async def test_it_can_run_again_after_its_end(world: World) -> None:
    controller = await world.controller()
    seen: list[float] = []

    @controller.on_reading
    def values(value: float) -> None:
        seen.append(value)

    async with world.device("hall") as hall:
        for value in (1, 2):
            async with controller:
                with pytest.raises(InvalidError, match="runs already"):
                    controller.on_reading(values)
                with pytest.raises(InvalidError, match="runs already"):
                    await controller.__aenter__()
                await hall.read(value)
                await until(lambda: len(seen) == value)  # noqa: B023  # awaited in this turn
            assert controller.devices == {}
    assert seen == [1, 2]
