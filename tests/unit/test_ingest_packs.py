"""Every check of a compressed pack, at the controller."""

import base64
import json
import time
import zlib
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.addresses import NodeAddress, device_id
from iotxmpp.controller.ingest import Checked, check_item, checks_of
from iotxmpp.controller.items import item_text
from iotxmpp.controller.rejection import MAX_PAYLOAD, Code
from iotxmpp.link import Item
from iotxmpp.payloads import MAX_TEXT, PACK_TAG, pack_element
from iotxmpp.readings import Reading
from iotxmpp.senml import encode
from iotxmpp.senml_json import MOST_RECORDS
from tests.effort import SOON, seconds_of
from tests.unit.controller_world import about_of
from tests.unit.test_ingest import Hall

HALL = device_id("hall")
NOW = time.time()


def check(payload: Element) -> Checked:
    return check_item(item(payload), Hall(about_of("hall")), NOW)


def check_ready(payload: Element) -> Checked:
    """The same with the description made ready, as a controller has it."""
    ready = checks_of(HALL, about_of("hall"))
    return check_item(item(payload), Hall(about_of("hall")), NOW, ready)


def item(payload: Element) -> Item:
    node = NodeAddress(service="pubsub.localhost", node="iot/hall/readings")
    return Item(node=node, id="e1.7", payload=payload, publisher="hall@localhost")


def pack(content: bytes) -> Element:
    element = Element(PACK_TAG)
    element.text = base64.b64encode(zlib.compress(content)).decode()
    return element


def readings(count: int) -> list[Reading]:
    return [
        Reading(channel="temperature", value=20.0 + n, unit="Cel", time=NOW + n, epoch="e1", seq=7 + n)
        for n in range(count)
    ]


def test_a_compressed_pack_is_taken_as_a_plain_one() -> None:
    payload = pack_element(encode(readings(12), device=HALL))
    assert payload.tag == PACK_TAG
    checked = check(payload)
    assert checked.rejections == ()
    assert [(each.channel, each.value, each.unit, each.seq) for each in checked.readings] == [
        (each.channel, each.value, each.unit, each.seq) for each in readings(12)
    ]
    assert [each.time for each in checked.readings] == pytest.approx(
        [each.time for each in readings(12)], abs=1e-5
    )


def test_what_is_refused_of_it_is_kept_as_its_json() -> None:
    text = json.dumps([{"bn": "hall/", "bt": NOW, "n": "temperature", "u": "Cel", "v": "warm"}])
    (rejection,) = check(pack(text.encode())).rejections
    assert (rejection.code, rejection.payload) == ("senml", text)


@pytest.mark.parametrize(
    ("payload", "code", "says"),
    [
        (pack(b"\xff"), "form", "UTF-8"),
        (pack(b"\0"), "form", "control characters"),
        (pack(bytes(10_000_000)), "too-large", str(MAX_TEXT)),
        (pack(b"{oops"), "senml", "SenML"),
        (pack(b"[" * 100_000), "senml", "SenML"),
    ],
)
def test_a_bad_one_is_kept_with_its_reason(payload: Element, code: Code, says: str) -> None:
    checked = check(payload)
    assert checked.readings == ()
    (rejection,) = checked.rejections
    assert rejection.code == code
    assert says in rejection.error
    assert 0 < len(rejection.payload.encode()) <= MAX_PAYLOAD


def test_what_cannot_be_decompressed_is_shown_as_it_came() -> None:
    payload = pack(bytes(10_000_000))
    assert payload.text is not None
    assert payload.text[:100] in item_text(item(payload))


BOMBS = {
    "good": ('{"bn":"hall/temperature","bu":"Cel","bt":%d,"v":21}', '{"v":21}'),
    "of a rare shape": ('{"bn":"hall/count","bt":%d,"v":1,"sq":7}', '{"v":1}'),
    "unknown": ('{"bn":"hall/wind","bt":%d,"v":1}', '{"v":1}'),
    "another device's": ('{"bn":"yard/count","bt":%d,"v":1}', '{"v":1}'),
    "empty": ('{"bn":"hall/count","bt":%d,"v":1}', "{}"),
}


def bomb(kind: str, records: int | None = None) -> tuple[Element, int]:
    """Records of a kind, as many as an item may carry if not said otherwise; and how many those are."""
    first, more = BOMBS[kind]
    first = first % NOW
    count = records or (MAX_TEXT - len(first) - 2) // (len(more) + 1) + 1
    return pack(f"[{','.join([first, *[more] * (count - 1)])}]".encode()), count


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_pack_of_very_many_records_is_refused_at_once(kind: str) -> None:
    payload, count = bomb(kind)
    assert len(payload.text or "") < 1000 < count
    checked = check(payload)
    (rejection,) = checked.rejections
    assert rejection.code == "senml"
    assert (
        rejection.error
        == f"SenML pack: {count} records, at most {MOST_RECORDS} are taken; send several packs"
    )
    assert checked.numbers == ((7, 7 + count - 1),)
    assert checked.readings == ()
    assert check_ready(payload).rejections[0].error == rejection.error
    assert seconds_of(lambda: check_ready(payload)) < SOON


@pytest.mark.parametrize("kind", BOMBS)
def test_as_many_records_as_are_taken_are_checked_soon(kind: str) -> None:
    payload, _ = bomb(kind, MOST_RECORDS)
    assert seconds_of(lambda: check(payload), SOON / 2) < SOON / 2
    checked = check_ready(payload)
    assert len(checked.readings) == (MOST_RECORDS if kind in {"good", "of a rare shape"} else 0)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ('"bn":"hall/%s"', "n: a name of 240005 characters, at most 1024 are taken"),
        ('"bn":"yard/%s"', "n: a name of 240005 characters, at most 1024 are taken"),
        ('"bn":"hall/temperature","bu":"%s"', "bu: a unit of 240000 characters, at most 256 are taken"),
    ],
)
def test_a_long_base_field_is_refused_once(field: str, words: str) -> None:
    """It would be part of each of a thousand records, and of each rejection."""
    first = f'{{{field % ("a" * 240_000)},"bt":{NOW},"v":1}}'
    more = '{"v":1}'
    payload = pack(f"[{','.join([first, *[more] * (MOST_RECORDS - 1)])}]".encode())
    assert seconds_of(lambda: check_ready(payload)) < SOON
    (rejection,) = check_ready(payload).rejections
    assert (rejection.code, rejection.error) == ("senml", f"SenML record 0: {words}")
    assert len(rejection.payload) <= MAX_PAYLOAD


def test_a_bad_pack_of_the_last_numbers_settles_none_beyond() -> None:
    last = 2**63 - 1
    node = NodeAddress(service="pubsub.localhost", node="iot/hall/readings")
    given = Item(node=node, id=f"e1.{last}", payload=pack(b"[{},{}]"), publisher="hall@localhost")
    checked = check_item(given, Hall(about_of("hall")), NOW)
    assert checked.numbers == ((last, last),)
    assert [each.code for each in checked.rejections] == ["senml"]


def test_braces_in_texts_are_no_records() -> None:
    text = json.dumps([{"bn": "hall/note", "bt": NOW, "vs": "{" * (2 * MOST_RECORDS)}])
    (reading,) = check(pack(text.encode())).readings
    assert reading.value == "{" * (2 * MOST_RECORDS)
