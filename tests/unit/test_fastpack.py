"""Packs that are checked in one pass: never anything but what the checks reading by reading say."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.about import About, Channel
from iotxmpp.addresses import DeviceId, NodeAddress, device_id
from iotxmpp.controller.columns import Columns
from iotxmpp.controller.ingest import EARLIEST, MAX_CHANNEL, MOST_AHEAD, Checked, check_item, checks_of
from iotxmpp.controller.lateness import GRACE, Lateness
from iotxmpp.link import Item
from iotxmpp.payloads import json_element, pack_element
from iotxmpp.readings import ClockQuality, Reading
from iotxmpp.senml import encode

NOW = time.time()
HALL = device_id("hall")
LONG = "x" * (MAX_CHANNEL + 1)
ABOUT = About(
    device="hall",
    channels={
        "temperature": Channel(type="float", unit="Cel", range=(-40, 85)),
        "humidity": Channel(type="float", unit="%RH"),
        "room/temperature": Channel(type="float", unit="Cel"),
        "count": Channel(type="int"),
        "level": Channel(type="int", unit="count", range=(0, 10)),
        "door": Channel(type="bool"),
        "shut": Channel(type="bool", range=(0, 0)),
        "note": Channel(type="str"),
        LONG: Channel(type="float"),
    },
)


@dataclass
class Hall:
    about: About | None = ABOUT
    id: DeviceId = HALL
    jid: str = "hall@localhost"


CHECKS = checks_of(HALL, ABOUT)


def item(text: str, *, first: int = 7) -> Item:
    return Item(
        node=NodeAddress(service="pubsub.localhost", node="iot/hall/readings"),
        id=f"e1.{first}",
        payload=json_element(text),
        publisher="hall@localhost",
    )


def told(checked: Checked) -> tuple[object, ...]:
    """All that a check says, with the types of the numbers; rejections were made at two moments."""
    readings = [
        [(type(value), value) for value in (getattr(each, field.name) for field in fields(Reading))]
        for each in checked.readings
    ]
    rejections = [replace(each, time=0.0) for each in checked.rejections]
    return checked.epoch, checked.numbers, readings, rejections, checked.seqs, checked.reason


def both(given: Item) -> tuple[Checked, Checked]:
    return check_item(given, Hall(), NOW, CHECKS), check_item(given, Hall(), NOW)


GOOD: Mapping[str, tuple[str | None, str, st.SearchStrategy[Any]]] = {
    "temperature": ("Cel", "v", st.floats(-40, 85) | st.integers(-40, 85)),
    "humidity": ("%RH", "v", st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)),
    "room/temperature": ("Cel", "v", st.floats(-40, 85)),
    "count": (None, "v", st.integers(-(2**64), 2**64) | st.integers(-5, 5)),
    "level": ("count", "v", st.integers(0, 10)),
    "door": (None, "vb", st.booleans()),
    "shut": (None, "vb", st.booleans()),
    "note": (None, "vs", st.text(max_size=5)),
}
TIMES: st.SearchStrategy[Any] = (
    st.floats(-60, 60)
    | st.integers(-60, 60)
    | st.sampled_from([MOST_AHEAD, MOST_AHEAD + 1, EARLIEST - NOW, EARLIEST - NOW - 1, 0, -0.0, 2**70, 1e300])
    | st.sampled_from([True, None, "1", [], 10**400, float("inf")])
)
ODD: st.SearchStrategy[tuple[str, object]] = st.tuples(
    st.sampled_from(
        [
            "bn",
            "bt",
            "bu",
            "bv",
            "bs",
            "bver",
            "n",
            "u",
            "v",
            "vs",
            "vb",
            "vd",
            "s",
            "t",
            "ut",
            "sq",
            "cq",
            "x",
        ]
    ),
    st.sampled_from(
        [
            None,
            True,
            0,
            1,
            2.5,
            -1,
            2**53 + 1,
            10**400,
            *("", "hall/", "hall/note", "Cel", "u", "r", "s", "\0"),
        ]
    )
    | st.sampled_from(
        [
            [],
            {},
        ]
    ),
)


@st.composite
def records(draw: st.DrawFn, channels: Sequence[str] = sorted(GOOD)) -> dict[str, object]:
    channel = draw(st.sampled_from(channels))
    unit, label, values = GOOD[channel]
    record: dict[str, object] = {"n": channel, label: draw(values)}
    if unit is not None:
        record["u"] = unit
    if draw(st.booleans()):
        record["t"] = draw(st.floats(-60, 60))
    return record


@st.composite
def packs_of_one(draw: st.DrawFn, head: dict[str, object]) -> list[dict[str, object]]:
    """The records of a pack of one channel: the first says its name, and at times its unit, for all."""
    channel = draw(st.sampled_from(sorted(GOOD)))
    rows = draw(st.lists(records([channel]), min_size=1, max_size=6))
    head["bn"] = f"hall/{channel}"
    if GOOD[channel][0] is not None and draw(st.booleans()):
        head["bu"] = GOOD[channel][0]
    timed = draw(st.sampled_from([None, True, False]))
    for index, row in enumerate(rows):
        del row["n"]
        if "bu" in head:
            del row["u"]
        if timed is not None:  # as agents do: the first without, or all
            row.pop("t", None)
            if timed and index:
                row["t"] = draw(st.floats(-60, 60))
    return rows


@st.composite
def packs(draw: st.DrawFn) -> str:
    """Packs that are good, or bad in a few places."""
    base = draw(st.sampled_from([NOW, int(NOW), NOW - GRACE * 3]))
    head: dict[str, object] = {"bn": "hall/", "bt": base}
    if draw(st.booleans()):
        rows = draw(st.lists(records(), min_size=1, max_size=6))
    else:
        rows = draw(packs_of_one(head))
    if draw(st.booleans()):
        head["cq"] = draw(st.sampled_from(["s", "u", "r", "x"]))
    rows[0] = {**head, **rows[0]}
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.sampled_from(rows))
        label, value = draw(ODD)
        row[label] = draw(TIMES) if label == "t" else value
        if draw(st.booleans()):
            row.pop(draw(st.sampled_from(sorted(row))))
    return json.dumps(rows)


@given(packs(), st.sampled_from([1, 7, 2**63 - 3]))
def test_it_says_what_the_checks_reading_by_reading_say(text: str, first: int) -> None:
    fast, slow = both(item(text, first=first))
    assert told(fast) == told(slow)


READINGS = st.sampled_from(sorted(GOOD)).flatmap(
    lambda channel: st.builds(
        Reading,
        channel=st.just(channel),
        unit=st.just(GOOD[channel][0]),
        value=st.just(False)
        if channel == "shut"
        else GOOD[channel][2].filter(lambda each: "\0" not in str(each)),
        time=st.floats(NOW - 60, NOW + 60),
    )
)


def _is_huge(reading: Reading) -> bool:
    """Whether it travels as an integer that no floating-point number holds, or is kept as one."""
    value = reading.value
    if type(value) is not int or abs(value) <= 2**53:
        return False
    return reading.channel == "count" or -(2**63) <= value < 2**63  # larger ones travel as floats


@given(st.lists(READINGS, min_size=1, max_size=8), st.sampled_from(["s", "u"]), st.booleans())
def test_what_an_agent_encodes_is_taken_in_one_pass(
    readings: Sequence[Reading], clock: ClockQuality, alone: bool
) -> None:
    chosen = [each for each in readings if not alone or each.channel == readings[0].channel]
    numbered = [replace(each, seq=7 + index, clock=clock) for index, each in enumerate(chosen)]
    packed = replace(item("x"), payload=pack_element(encode(numbered, device=HALL)))
    fast, slow = both(packed)
    assert told(fast) == told(slow)
    assert isinstance(fast.readings, Columns) is not any(map(_is_huge, numbered))


BAD = {
    "another's name": '[{"bn":"cellar/","bt":%s,"n":"door","vb":true}]',
    "a channel in two parts": '[{"bn":"hall/room/","bt":%s,"n":"temperature","v":1.0}]',
    "a base unit that is not the channel's": '[{"bn":"hall/","bt":%s,"bu":"K","n":"temperature","v":1.0}]',
    "a label that must be understood": '[{"bn":"hall/","bt":%s,"n":"door","vb":true,"x_":1}]',
    "a label twice": '[{"bn":"hall/","bt":%s,"n":"door","vb":true,"vb":false}]',
    "two values": '[{"bn":"hall/","bt":%s,"n":"door","vb":true,"v":1}]',
    "no value": '[{"bn":"hall/","bt":%s,"n":"door"}]',
    "a long name": f'[{{"bn":"hall/","bt":%s,"n":"{LONG}","v":1.0}}]',
    "no pack": "{}%s",
    "a base unit that is nothing": '[{"bn":"hall/door","bt":%s,"bu":null,"vb":true}]',
    "a base name that is no text": '[{"bn":["hall/door"],"bt":%s,"n":"door","vb":true}]',
    "a base time that is no number": '[{"bn":"hall/door","bt":"%s","vb":true}]',
    "an infinite value": '[{"bn":"hall/humidity","bt":%s,"bu":"%%RH","v":1},{"v":1e400}]',
    "an infinite value, and the unit": '[{"bn":"hall/humidity","bt":%s,"u":"%%RH","v":1e400}]',
    "no number": '[{"bn":"hall/humidity","bt":%s,"bu":"%%RH","v":1},{"v":NaN}]',
    "an endless time": '[{"bn":"hall/door","bt":%s,"vb":true},{"vb":true,"t":1e400}]',
    "a truth as time": '[{"bn":"hall/door","bt":%s,"vb":true},{"vb":true,"t":true}]',
    "a name that is no text": '[{"bn":"hall/","bt":%s,"n":"door","vb":true},{"n":[],"vb":true}]',
    "a record that is none": '[{"bn":"hall/door","bt":%s,"vb":true},true]',
    "nothing": "[]%.0s",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_it_rejects_nothing_by_itself(text: str) -> None:
    fast, slow = both(item(text % NOW))
    assert told(fast) == told(slow)
    assert not isinstance(fast.readings, Columns)
    assert fast.rejections or "room/" in text


def test_too_much_text_is_rejected_with_its_numbers() -> None:
    fast, slow = both(item('[{"bn":"hall/","bt":1,"n":"note","vs":"' + "x" * 300_000 + '"}]'))
    assert told(fast) == told(slow)
    assert (fast.numbers, fast.rejections[0].code) == (((7, 7),), "too-large")


def columns(
    readings: Sequence[tuple[str, float]], *, first: int = 1, epoch: str = "e1", clock: ClockQuality = "s"
) -> Columns:
    made = [Reading(channel=name, value=1, time=at, clock=clock) for name, at in readings]
    text = encode([replace(each, seq=first + index) for index, each in enumerate(made)], device=HALL)
    about = About(device="hall", channels={name: Channel(type="int") for name, _ in readings})
    given = replace(item(text, first=first), id=f"{epoch}.{first}")
    found = check_item(given, Hall(about), NOW, checks_of(HALL, about)).readings
    assert isinstance(found, Columns)
    return found


def test_columns_are_a_sequence_of_readings() -> None:
    made = columns([("a", NOW), ("b", NOW + 1), ("a", NOW + 2)], first=5)
    plain = tuple(made)
    assert [each.seq for each in plain] == [5, 6, 7]
    assert plain[1] == Reading(channel="b", value=1, time=plain[1].time, epoch="e1", seq=6)
    assert (made[0], made[-1], made[1:]) == (plain[0], plain[2], plain[1:])
    assert made == plain
    assert plain == made
    assert hash(made) == hash(plain)
    assert made != plain[:2]
    assert made != [*plain]
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            made[beyond]
    late = made.at(NOW, historical=True)
    assert [(each.received, each.historical) for each in late] == [(NOW, True)] * 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["e1", "e1", "e2"]),
        st.integers(1, 40),
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "c"]),
                st.sampled_from([0.0, 1.0, -5.0, -80.0, -200.0, 70.0, -3000.0]),
            ),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from([0.0, 1.0, 30.0, 70.0, -5.0]),
        st.sampled_from(["s", "u"]),
    ),
    max_size=8,
)


@given(STEPS)
def test_lateness_is_the_same_for_columns_and_for_readings(steps: list[Any]) -> None:
    fast, slow, now = Lateness(), Lateness(), NOW
    for epoch, first, ages, passed, clock in steps:
        now += passed
        made = columns([(name, now + age) for name, age in ages], first=first, epoch=epoch, clock=clock)
        marked = fast.mark(made, now, heartbeat=30.0)
        assert tuple(marked) == slow.mark(tuple(made), now, heartbeat=30.0)
        assert fast._newest == slow._newest
        for name, error in fast._errors.items():
            assert vars(error) == vars(slow._errors[name])
