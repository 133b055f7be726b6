"""Every check of what a device publishes."""

import json
import time
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import pytest

from iotxmpp.about import About, Channel
from iotxmpp.addresses import DeviceId, NodeAddress, device_id
from iotxmpp.controller.description import MAX_CHANNELS, check_about
from iotxmpp.controller.ingest import MAX_REJECTIONS, Checked, check_item
from iotxmpp.controller.items import Refused
from iotxmpp.controller.rejection import CODES, MAX_PAYLOAD, Code
from iotxmpp.delivery import Gap
from iotxmpp.link import Item
from iotxmpp.payloads import MAX_TEXT, json_element
from tests.unit.controller_world import about_of, pack

NODE = NodeAddress(service="pubsub.localhost", node="iot/hall/readings")
NOW = time.time()
GOOD: dict[str, object] = {"n": "temperature", "u": "Cel", "v": 21.5}


HALL = device_id("hall")


@dataclass
class Hall:
    about: About | None
    id: DeviceId = HALL
    jid: str = "hall@localhost"


DESCRIBED = Hall(about_of("hall"))
UNKNOWN = Hall(None)


def item(payload: Element | None, **changes: object) -> Item:
    given: dict[str, object] = {"node": NODE, "id": "e1.7", "payload": payload, "publisher": "hall@localhost"}
    return Item(**{**given, **changes})  # type: ignore[arg-type]  # a table's entries


def check(payload: Element | None, sender: Hall | None = None, **changes: object) -> Checked:
    return check_item(item(payload, **changes), sender or DESCRIBED, NOW)


def of(*records: dict[str, object], at: float = NOW, name: str = "hall") -> Element:
    return pack(name, *records, at=at)


def test_a_good_pack_is_taken_whole() -> None:
    checked = check(of(GOOD, {"n": "count", "v": 3}, {"n": "door", "vb": True}, {"n": "note", "vs": "hi"}))
    assert checked.rejections == ()
    assert [(each.channel, each.value, each.unit, each.seq) for each in checked.readings] == [
        ("temperature", 21.5, "Cel", 7),
        ("count", 3, None, 8),
        ("door", True, None, 9),
        ("note", "hi", None, 10),
    ]
    assert {each.epoch for each in checked.readings} == {"e1"}


def test_a_whole_number_is_a_fine_float() -> None:
    (reading,) = check(of({"n": "temperature", "u": "Cel", "v": 21})).readings
    assert (reading.value, type(reading.value)) == (21.0, float)


def two_payloads() -> Element:
    element = json_element("[]")
    SubElement(element, "more")
    return element


def text(content: str) -> Element:
    return json_element(content)


GAP_OF_E2 = Gap(epoch="e2", reason="full", lost=((7, 9),)).element()
NAN = '[{"bn":"hall/","bt":1e9,"n":"temperature","u":"Cel","v":NaN}]'

WHOLE: list[tuple[str, Element | None, dict[str, object], Code, str]] = [
    ("no payload", None, {}, "form", "no payload"),
    ("the link's problem", None, {"problem": "several payloads"}, "form", "several payloads"),
    ("forged", of(GOOD), {"publisher": "mallory@localhost"}, "forged-publisher", "mallory@localhost"),
    (
        "forged by a service",
        of(GOOD),
        {"publisher": "pubsub.localhost"},
        "forged-publisher",
        "hall@localhost",
    ),
    ("item id", of(GOOD), {"id": "current"}, "form", "<epoch>"),
    ("another element", Element("{urn:x}y"), {}, "form", "{urn:x}y"),
    ("XML in JSON", two_payloads(), {}, "form", "XML elements"),
    ("no text", text(""), {}, "form", "empty"),
    ("too large", text("[" + " " * MAX_TEXT + "]"), {}, "too-large", str(MAX_TEXT)),
    ("no JSON", text("{oops"), {}, "senml", "SenML"),
    ("JSON, no SenML", text('{"temperature": 21}'), {}, "senml", "array"),
    ("deep JSON", text("[" * 100_000), {}, "senml", "SenML"),
    ("NaN", text(NAN), {}, "senml", "SenML"),
    ("infinity", text(NAN.replace("NaN", "1e999")), {}, "senml", "SenML"),
    ("another device", of(GOOD, name="cellar"), {}, "identity", "cellar"),
    ("another number than its id's", of({**GOOD, "sq": 5}), {}, "numbers", "expected 7"),
    ("a number twice", of(GOOD, {**GOOD, "sq": 7}), {}, "numbers", "8 or more"),
    ("a gap that is none", Element("{urn:iotxmpp:delivery:0}gap"), {}, "form", "epoch is missing"),
    ("a gap of another epoch", GAP_OF_E2, {}, "numbers", "e2.7 in item e1.7"),
]


@pytest.mark.parametrize(
    ("payload", "changes", "code", "says"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE]
)
def test_what_is_wrong_with_a_whole_pack(
    payload: Element | None, changes: dict[str, object], code: Code, says: str
) -> None:
    checked = check(payload, None, **changes)
    assert checked.readings == ()
    (rejection,) = checked.rejections
    assert (rejection.code, rejection.device, rejection.node) == (code, "hall", "iot/hall/readings")
    assert says in rejection.error
    assert rejection.item == changes.get("id", "e1.7")
    assert rejection.publisher == changes.get("publisher", "hall@localhost")
    assert len(rejection.payload.encode()) <= MAX_PAYLOAD


SINGLE: list[tuple[dict[str, object], Code, str]] = [
    ({"n": "pressure", "u": "hPa", "v": 1000}, "unknown-channel", "pressure"),
    ({"n": "temperature", "u": "Cel", "vs": "warm"}, "type", "str"),
    ({"n": "temperature", "u": "Cel", "vb": True}, "type", "bool"),
    ({"n": "count", "v": 1.5}, "type", "float"),
    ({"n": "count", "vb": True}, "type", "bool"),
    ({"n": "door", "v": 1}, "type", "int"),
    ({"n": "temperature", "u": "K", "v": 294}, "unit", "Cel"),
    ({"n": "temperature", "u": "Celsius", "v": 21}, "unit", "Celsius"),
    ({"n": "temperature", "v": 21}, "unit", "none"),
    ({"n": "count", "u": "Cel", "v": 1}, "unit", "Cel"),
    ({"n": "temperature", "u": "Cel", "v": 85.5}, "range", "-40 to 85"),
    ({"n": "temperature", "u": "Cel", "v": -1e300}, "range", "-40 to 85"),
    ({"n": "temperature", "u": "Cel", "v": 20, "t": 2 * 86400}, "time", "48 hours"),
    ({"n": "temperature", "u": "Cel", "v": 20, "t": -10 * 365 * 86400}, "time", "clock"),
    ({"n": "temperature", "u": "Cel", "s": 20}, "senml", "record 1"),
]


@pytest.mark.parametrize(("record", "code", "says"), SINGLE)
def test_a_bad_reading_does_not_take_the_good_ones_with_it(
    record: dict[str, object], code: Code, says: str
) -> None:
    checked = check(of(GOOD, record, {"n": "humidity", "u": "%RH", "v": 40}))
    assert [(each.channel, each.seq) for each in checked.readings] == [("temperature", 7), ("humidity", 9)]
    (rejection,) = checked.rejections
    assert rejection.code == code
    assert says in rejection.error
    assert str(record["n"]) in json.loads(rejection.payload)["n"]


def test_one_record_of_another_device_is_rejected_alone() -> None:
    checked = check(of(GOOD, {"bn": "cellar/", "n": "temperature", "u": "Cel", "v": 1}))
    assert len(checked.readings) == 1
    (rejection,) = checked.rejections
    assert (rejection.code, json.loads(rejection.payload)["n"]) == ("identity", "cellar/temperature")
    assert "SenML record 1" in rejection.error


def test_before_a_description_only_form_unit_and_time_are_checked() -> None:
    checked = check(
        of(
            {"n": "anything", "v": 1e9},
            {"n": "heat", "u": "Fahrenheit", "v": 70},
            {"n": "late", "v": 1, "t": 2 * 86400},
        ),
        UNKNOWN,
    )
    assert [each.channel for each in checked.readings] == ["anything"]
    assert [each.code for each in checked.rejections] == ["unit", "time"]


def test_a_service_that_stamps_no_publisher_is_believed() -> None:
    assert len(check(of(GOOD), publisher=None).readings) == 1


def test_one_item_cannot_fill_the_store() -> None:
    bad = {"n": "temperature", "u": "Cel", "v": 1000}
    checked = check(of(*[bad] * (MAX_REJECTIONS + 50), GOOD))
    assert len(checked.readings) == 1
    assert len(checked.rejections) == MAX_REJECTIONS
    assert "and 51 more readings" in checked.rejections[-1].error


def test_a_devices_text_cannot_forge_a_log_line() -> None:
    checked = check(of(GOOD), publisher="x\n2026-01-01 all is well\x1b[2J@localhost")
    (rejection,) = checked.rejections
    assert "\n" not in str(rejection) + str(rejection.publisher)
    assert "\x1b" not in str(rejection) + str(rejection.publisher)


def test_codes_are_a_closed_set() -> None:
    assert {row[3] for row in WHOLE} | {row[1] for row in SINGLE} | {
        "about",
        "status",
        "model",
        "store",
        "twin",
    } == set(CODES)


def described(about: dict[str, object]) -> Element:
    return json_element(json.dumps({"device": "hall", **about}))


def test_a_description_is_taken() -> None:
    about = check_about(item(json_element(about_of("hall").model_dump_json())), DESCRIBED)
    assert about == about_of("hall")


MANY = {f"c{number}": {"type": "int"} for number in range(MAX_CHANNELS + 1)}


@pytest.mark.parametrize(
    ("payload", "code", "says"),
    [
        (text("nonsense"), "about", "JSON"),
        (described({"device": "cellar"}), "identity", "cellar"),
        (described({"form": 2}), "about", "form"),
        (described({"heartbeat": 0}), "about", "heartbeat"),
        (described({"heartbeat": float("inf")}), "about", "heartbeat"),
        (described({"channels": MANY}), "about", str(MAX_CHANNELS)),
        (described({"channels": {"a b": {"type": "int"}}}), "about", "a b"),
        (described({"channels": {"a": {"type": "int", "unit": "Celsius"}}}), "about", "Celsius"),
        (described({"channels": {"a": {"type": "int", "range": [2, 1]}}}), "about", "range"),
        (described({"channels": {"a": {"type": "int", "range": [float("nan"), 1]}}}), "about", "range"),
        (described({"channels": {"a": {"type": "complex"}}}), "about", "channels.a.type"),
    ],
)
def test_a_bad_description_is_refused(payload: Element, code: Code, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        check_about(item(payload), UNKNOWN)
    assert caught.value.code == code


def test_a_forged_description_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        check_about(item(described({}), publisher="mallory@localhost"), UNKNOWN)
    assert caught.value.code == "forged-publisher"


def test_a_text_channel_with_a_range_takes_text() -> None:
    hall = Hall(About(device="hall", channels={"note": Channel(type="str", range=(0, 1))}))
    assert len(check(of({"n": "note", "vs": "hi"}), hall).readings) == 1
