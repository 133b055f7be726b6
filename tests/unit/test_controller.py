"""From a device's publish to a handler, a metric, and a kept rejection."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen
from xml.etree.ElementTree import Element

import pytest
from pydantic import BaseModel, Field

from iotxmpp.about import About
from iotxmpp.commands import CommandCall, parse_call, result_element
from iotxmpp.controller import Controller, Device, Rejection, Store
from iotxmpp.errors import ConfigError, CredentialsError, InvalidError, UnknownDeviceError
from iotxmpp.link import Presence, Request
from iotxmpp.payloads import json_element
from iotxmpp.readings import Reading
from tests.unit.controller_world import HOUSE, SOON, World, about_of, kept, pack, temperature, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.add("hall")
    yield world
    await world.close()


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


BAD: list[tuple[str, Element, str, str]] = [
    ("malformed", Element("{urn:wrong}pack"), "form", "unknown"),
    ("no SenML", json_element('{"temperature": 21}'), "senml", "array"),
    (
        "NaN",
        json_element('[{"bn":"hall/","bt":1700000000,"n":"temperature","u":"Cel","v":NaN}]'),
        "senml",
        "",
    ),
    ("unknown unit", pack("hall", {"n": "temperature", "u": "Furlong", "v": 1}), "unit", "Furlong"),
    ("wrong unit", pack("hall", {"n": "temperature", "u": "K", "v": 294}), "unit", "describes Cel"),
    ("out of range", temperature("hall", 900), "range", "900"),
    ("unknown channel", pack("hall", {"n": "gravity", "v": 9.8}), "unknown-channel", "gravity"),
    ("300 kB", json_element("[" + " " * 300_000 + "]"), "too-large", "300002 bytes"),
    ("another's name", temperature("cellar", 20), "identity", "cellar"),
]


async def test_bad_input_is_kept_with_its_reason_and_counted_while_good_flows(world: World) -> None:
    controller = await world.controller()
    seen: list[float] = []

    @controller.on_reading
    async def good(value: float) -> None:
        seen.append(value)

    async with world.device("hall") as hall, controller:
        for number, (_, payload, _, _) in enumerate(BAD):
            await hall.publish(payload, item_id=f"bad.{number + 1}")
            await hall.read(number)
        await hall.publish(temperature("hall", 20), item_id="no id of ours")
        await until(lambda: len(seen) == len(BAD))
        rejections = await kept(controller, len(BAD) + 1)
        text = controller.metrics.text()
    assert seen == list(range(len(BAD)))
    for number, (_, _, code, says) in enumerate(BAD):
        rejection = rejections[number]
        assert (rejection.device, rejection.node) == ("hall", "iot/hall/readings")
        assert (rejection.code, rejection.item) == (code, f"bad.{number + 1}")
        assert says in rejection.error
        assert rejection.payload
    assert (rejections[-1].code, rejections[-1].item) == ("form", "no id of ours")
    assert 'iotxmpp_rejected_total{code="unit",device="hall"} 2.0' in text
    assert f'iotxmpp_packs_total{{device="hall"}} {2 * len(BAD) + 1}.0' in text
    assert f'iotxmpp_readings_total{{device="hall"}} {len(BAD)}.0' in text
    assert "gravity" not in text


async def test_a_forged_publisher_is_kept(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.add("cellar", publisher="mallory@localhost")
    controller = await world.controller()
    async with world.device("cellar", jid="mallory@localhost") as mallory, controller:
        await mallory.read(20)
        about, readings = await kept(controller, 2)
        assert controller.device("cellar").about is None
        assert controller.device("cellar").readings == {}
    assert (about.code, about.node) == ("forged-publisher", "iot/cellar/about")
    assert (readings.code, readings.node) == ("forged-publisher", "iot/cellar/readings")
    assert readings.publisher == "mallory@localhost"
    assert "rejected: cellar: iot/cellar/readings item 'e1.1': forged-publisher" in caplog.text


async def test_after_a_bad_description_the_last_good_one_stays(world: World) -> None:
    controller = await world.controller()
    async with world.device("hall") as hall, controller:
        device = controller.device("hall")
        assert device.about == about_of("hall")
        await hall.describe(json_element('{"device": "hall", "channels": 3}'))
        (rejection,) = await kept(controller)
        assert (rejection.code, rejection.node) == ("about", "iot/hall/about")
        assert device.about == about_of("hall")
        await hall.describe(About(device="hall", site="roof"))
        await until(lambda: device.about and device.about.site == "roof")


async def test_readings_before_any_description_are_checked_by_form(world: World) -> None:
    controller = await world.controller()
    seen: list[str] = []

    @controller.on_reading
    async def every(reading: Reading) -> None:
        seen.append(reading.channel)

    async with world.device("hall", describe=False) as hall, controller:
        await hall.publish(
            pack("hall", {"n": "gravity", "u": "m/s2", "v": 9.8}, {"n": "x", "u": "Furlong", "v": 1})
        )
        await until(lambda: seen)
        (rejection,) = await kept(controller)
        assert rejection.code == "unit"
        await hall.describe(about_of("hall"))
        await until(lambda: controller.device("hall").about)
        assert controller.device("hall").readings == {}
    assert seen == ["gravity"]


async def test_rejections_outlive_the_controller(world: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/controller.db"
    for number in (1, 2):
        controller = await world.controller(store=url)
        async with world.device("hall") as hall, controller:
            await hall.publish(temperature("hall", 900), item_id=f"run.{number}")
            await kept(controller, number)
    store = Store(url)
    assert [(each.item, each.code) for each in store.rejections("hall")] == [
        ("run.1", "range"),
        ("run.2", "range"),
    ]
    store.close()


async def test_the_state_directory_is_the_default(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "state"))
    async with await world.controller(store=None):
        assert (tmp_path / "state" / "controller.db").exists()


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


async def test_a_bad_status_is_kept_and_the_device_is_online(world: World) -> None:
    controller = await world.controller()
    bad = Element("{urn:iotxmpp:status:0}device", {"heartbeat": "often"})
    async with world.device("hall") as hall, controller:
        await hall.link.announce(Presence(extensions=(bad,)))
        (rejection,) = await kept(controller)
        assert controller.device("hall").online
    assert (rejection.code, rejection.node, rejection.publisher) == ("status", "presence", hall.link.jid)


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


async def test_outside_of_its_run_it_says_so(world: World) -> None:
    controller = await world.controller()
    assert controller.jid == HOUSE
    with pytest.raises(UnknownDeviceError, match="does not run"):
        controller.device("hall")


async def test_a_wrong_password_leaves_nothing_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.server.create_account(HOUSE, "other", renew=True)
    monkeypatch.setattr("iotxmpp.controller.controller._open_link", world.server.link)
    controller = Controller(HOUSE, password="wrong", store="sqlite://", metrics_port=0)
    with pytest.raises(CredentialsError):
        await controller.__aenter__()
    assert controller.metrics_url is None
    with pytest.raises(UnknownDeviceError, match="does not run"):
        await controller.rejections()


async def test_without_a_password_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTXMPP_PASSWORD", raising=False)
    monkeypatch.delenv("IOTXMPP_ACCOUNT", raising=False)
    with pytest.raises(ConfigError, match="set IOTXMPP_PASSWORD"):
        await Controller("house@example.org").__aenter__()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"devices": "hall"}, "give a list"),
        ({"devices": ["Hall!"]}, "device id"),
        ({"devices": ["a@one.example", "a@two.example"]}, "ids are unique"),
        ({"discover_every": 0}, "discover_every"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        Controller(HOUSE, **options)  # type: ignore[arg-type]  # a table's entries


def test_a_wrong_declaration_is_told_at_once() -> None:
    controller = Controller(HOUSE)
    with pytest.raises(InvalidError, match="no channel's name"):
        controller.on_reading(3, 4)  # type: ignore[call-overload]  # that is the mistake
    with pytest.raises(InvalidError, match="warm room"):
        controller.on_reading("warm room")
    with pytest.raises(InvalidError, match="annotate it"):

        @controller.on_reading("temperature")
        def handler(reading: list[int]) -> None: ...


def test_a_rejection_reads_as_one_line() -> None:
    rejection = Rejection(
        device="hall",
        node="iot/hall/readings",
        item="e1.1",
        publisher=None,
        code="range",
        error="x",
        payload="",
        time=0,
    )
    assert str(rejection) == "hall: iot/hall/readings item 'e1.1': range: x"
