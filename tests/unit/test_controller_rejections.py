"""Bad input to a controller: kept with its reason, while good readings go on."""

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.about import About
from iotxmpp.controller import Rejection, Store
from iotxmpp.link import Presence
from iotxmpp.payloads import json_element
from iotxmpp.readings import Reading
from tests.unit.controller_world import World, about_of, kept, pack, temperature, until

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


async def test_a_pack_of_bad_readings_is_one_warning_for_each_code(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hot = [{"n": "temperature", "u": "Cel", "v": 900 + number} for number in range(35)]
    controller = await world.controller()
    async with world.device("hall") as hall, controller:
        await hall.publish(pack("hall", *hot, {"n": "gravity", "v": 9.8}), item_id="bad.1")
        assert len(await kept(controller, 36)) == 36
        text = controller.metrics.text()
    (out_of_range, unknown) = [each for each in caplog.messages if each.startswith("rejected: ")]
    assert out_of_range.startswith(
        "rejected: hall: iot/hall/readings item 'bad.1': range: channel temperature: 900 "
    )
    assert out_of_range.endswith("; and 34 more of this item: range")
    assert "unknown-channel: no channel 'gravity'" in unknown
    assert "more of this item" not in unknown
    assert 'iotxmpp_rejected_total{code="range",device="hall"} 35.0' in text


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


async def test_a_bad_status_is_kept_and_the_device_is_online(world: World) -> None:
    controller = await world.controller()
    bad = Element("{urn:iotxmpp:status:0}device", {"heartbeat": "often"})
    async with world.device("hall") as hall, controller:
        await hall.link.announce(Presence(extensions=(bad,)))
        (rejection,) = await kept(controller)
        assert controller.device("hall").online
    assert (rejection.code, rejection.node, rejection.publisher) == ("status", "presence", hall.link.jid)


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
