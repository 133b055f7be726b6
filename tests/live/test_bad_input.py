"""Bad input to a system that runs: refused with a clear error, or kept with its reason; good readings go on.

What a device sends wrong is sent here past the agent, which would refuse to.
"""

import asyncio
import json
import math
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest
import pytest_asyncio

from iotxmpp.addresses import DeviceId
from iotxmpp.controller import Code
from iotxmpp.errors import StanzaError
from iotxmpp.link import Presence
from iotxmpp.payloads import JSON_TAG, json_element
from iotxmpp.status import TAG as STATUS_TAG
from tests.live.bad_scene import Scene, fresh_numbers, open_scene, other_element, pack, publishing
from tests.live.conftest import Administered
from tests.live.site import nodes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(administered: Administered, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with open_scene(administered, tmp_path_factory.mktemp("site")) as scene:
        yield scene


def nested_element() -> Element:
    element = Element(JSON_TAG)
    SubElement(element, JSON_TAG).text = "[]"
    return element


def text(json_text: str) -> Callable[[DeviceId], list[Element]]:
    """This text in place of a pack."""
    return lambda _device: [json_element(json_text)]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Something that a device publishes, what it is rejected with, and what the error says."""

    what: str
    payloads: Callable[[DeviceId], list[Element]]
    code: Code
    says: str
    item_id: str = "0123abcd.{number}"


KEPT = [
    Bad(
        what="another element", payloads=lambda _: [other_element()], code="form", says="urn:example:weather"
    ),
    Bad(what="nested", payloads=lambda _: [nested_element()], code="form", says="holds XML elements"),
    Bad(what="empty", payloads=lambda _: [Element(JSON_TAG)], code="form", says="empty"),
    Bad(
        what="an item id", payloads=pack("NAME/number", v=1), code="form", says="item id", item_id="x{number}"
    ),
    Bad(what="half of JSON", payloads=text('[{"n": '), code="senml", says="EOF"),
    Bad(what="no JSON", payloads=text("21.5 degrees"), code="senml", says="SenML pack"),
    Bad(what="no SenML", payloads=text('{"temperature": 21.5}'), code="senml", says="must be an array"),
    Bad(what="no record", payloads=text("[]"), code="senml", says="empty"),
    Bad(what="no value", payloads=pack("NAME/number"), code="senml", says="no value"),
    Bad(
        what="NaN", payloads=pack("NAME/number", v=math.nan), code="senml", says="v: must be a finite number"
    ),
    Bad(what="infinity", payloads=pack("NAME/number", v=math.inf), code="senml", says="finite number"),
    Bad(
        what="a text as v",
        payloads=pack("NAME/number", v="1"),
        code="senml",
        says="v: must be a finite number",
    ),
    Bad(what="another's", payloads=pack("attic/number", v=1), code="identity", says="names another device"),
    Bad(
        what="an unknown unit",
        payloads=pack("NAME/temperature", v=21.5, u="furlong"),
        code="unit",
        says="unit furlong, the device describes Cel",
    ),
    Bad(
        what="a wrong unit",
        payloads=pack("NAME/temperature", v=294.0, u="K"),
        code="unit",
        says="unit K, the device describes Cel",
    ),
    Bad(
        what="no unit",
        payloads=pack("NAME/temperature", v=21.5),
        code="unit",
        says="unit none, the device describes Cel",
    ),
    Bad(
        what="out of range",
        payloads=pack("NAME/temperature", v=85.5, u="Cel"),
        code="range",
        says="channel temperature: 85.5 is not within -40 to 85",
    ),
    Bad(
        what="an unknown channel",
        payloads=pack("NAME/humidity", v=40, u="%RH"),
        code="unknown-channel",
        says="no channel 'humidity'",
    ),
    Bad(
        what="another type",
        payloads=pack("NAME/number", vs="ten"),
        code="type",
        says="the value is str, the device describes float",
    ),
    Bad(
        what="a clock never set",
        payloads=pack("NAME/number", v=1, t=946_684_800.0),
        code="time",
        says="set the device's clock",
    ),
]


@pytest.mark.parametrize("bad", KEPT, ids=lambda bad: bad.what)
async def test_what_a_device_publishes_wrong_is_kept_with_its_reason(scene: Scene, bad: Bad) -> None:
    marked, item_id = time.time(), bad.item_id.format(number=next(fresh_numbers))
    await scene.a_good_reading_arrives()
    request = publishing(scene.readings, *bad.payloads(scene.name), item_id=item_id)
    await scene.raw.call(scene.readings.service, request)
    await scene.a_good_reading_arrives()
    kept = await scene.rejected(marked)
    assert [(each.device, each.node, each.item, each.code) for each in kept] == [
        (scene.name, scene.readings.node, item_id, bad.code)
    ]
    assert bad.says in kept[0].error
    assert "\n" not in kept[0].error
    assert kept[0].publisher == scene.device.jid
    assert marked <= kept[0].time <= time.time()


@pytest.mark.parametrize("count", [0, 2])
async def test_the_server_refuses_an_item_without_one_payload(scene: Scene, count: int) -> None:
    marked = time.time()
    payloads = [payload for _ in range(count) for payload in pack("NAME/number", v=-1)(scene.name)]
    request = publishing(scene.readings, *payloads, item_id="0123abcd.1")
    with pytest.raises(StanzaError, match="bad-request"):
        await scene.raw.call(scene.readings.service, request)
    await scene.a_good_reading_arrives()
    assert await scene.rejected(marked) == []
    assert -1 not in scene.values.all


async def test_the_good_readings_of_a_pack_are_taken_and_the_bad_ones_kept(scene: Scene) -> None:
    marked, value, now = time.time(), float(next(fresh_numbers)), time.time()
    records = [
        {"n": f"{scene.name}/temperature", "v": 99, "u": "Cel", "t": now},
        {"n": f"{scene.name}/number", "v": value, "t": now},
        {"n": f"{scene.name}/temperature", "v": 21, "u": "degC", "t": now},
    ]
    await scene.raw.publish(scene.readings, json_element(json.dumps(records)), item_id="0123abcd.1")
    await scene.values.until(lambda came: came == value)
    kept = await scene.rejected(marked)
    assert [(each.code, json.loads(each.payload)["v"]) for each in kept] == [("range", 99), ("unit", 21)]


async def test_a_wrong_self_description_is_kept_and_the_good_one_stays(scene: Scene) -> None:
    marked, about = time.time(), nodes_of(scene.device).about
    good = scene.controller.device(scene.name).about
    wrong = json.dumps({"device": scene.name, "channels": {"number": {"type": "complex"}}})
    try:
        await scene.raw.publish(about, json_element(wrong), item_id="current")
        await scene.a_good_reading_arrives()
        kept = await scene.rejected(marked)
        assert [(each.node, each.item, each.code) for each in kept] == [(about.node, "current", "about")]
        assert "channels.number.type" in kept[0].error
        assert scene.controller.device(scene.name).about == good
    finally:
        await scene.raw.publish(about, json_element(scene.agent.about.model_dump_json()), item_id="current")


async def test_a_wrong_status_in_presence_is_kept(scene: Scene) -> None:
    marked = time.time()
    scene.raw.admit(lambda jid: jid == scene.house.jid)
    status = Element(STATUS_TAG, {"heartbeat": "soon", "uptime": "1", "version": "0"})
    await scene.raw.announce(Presence(extensions=(status,)))
    try:
        await scene.a_good_reading_arrives()
        kept = await scene.rejected(marked)
        assert [(each.device, each.node, each.code) for each in kept] == [(scene.name, "presence", "status")]
        assert "heartbeat" in kept[0].error
        assert kept[0].publisher == scene.raw.jid
    finally:
        await scene.raw.announce(Presence())


async def test_what_was_rejected_is_listed_and_counted(scene: Scene) -> None:
    for bad in KEPT:
        request = publishing(scene.readings, *bad.payloads(scene.name), item_id=bad.item_id.format(number=1))
        await scene.raw.call(scene.readings.service, request)
    await scene.a_good_reading_arrives()
    kept = await scene.controller.rejections(limit=1000)
    assert {each.code for each in kept} >= {bad.code for bad in KEPT}
    listed = await _listed_by_the_command_line(scene)
    assert [(row["device"], row["node"], row["item"], row["code"], row["error"]) for row in listed] == [
        (each.device, each.node, each.item, each.code, each.error) for each in kept
    ]
    assert scene.controller.metrics_url is not None
    answer = await asyncio.to_thread(urllib.request.urlopen, scene.controller.metrics_url, timeout=5)
    with answer:
        lines = answer.read().decode().splitlines()
    for code in {each.code for each in kept}:
        count = sum(each.code == code for each in kept)
        assert f'iotxmpp_rejected_total{{code="{code}",device="{scene.name}"}} {float(count)}' in lines


async def _listed_by_the_command_line(scene: Scene) -> list[dict[str, Any]]:
    account = scene.site.folder / "house.toml"
    scene.house.save(account)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "iotxmpp", "controller", "rejected", "--json", "--limit", "1000"),
        *("--account", str(account), "--store", scene.site.store, "--device", scene.name),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    return [json.loads(line) for line in out.decode().splitlines()]
