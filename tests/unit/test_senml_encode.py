"""Readings written as SenML: what they share is said once, and what cannot travel is refused."""

import enum
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import DeviceId
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Reading, Value
from iotxmpp.senml import decode, encode, encode_plain, readings_of
from iotxmpp.senml_encode import Plain

DEVICE = DeviceId("hall")
AT = 1_795_224_000.25

TIMES = st.floats(2**28 + 1, 253_402_300_799) | st.floats(AT - 1e-5, AT + 1e-5)
PLAIN = st.tuples(
    st.sampled_from(["a", "b/1"]),
    st.sampled_from([None, "Cel", "W", '"\u00e9']),
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    TIMES,
    st.just(0),
)


class Level(enum.IntEnum):
    LOW = 3


class Half(float):
    """As numpy's are: a float that shows itself otherwise."""

    def __repr__(self) -> str:
        return f"Half({float(self)})"

    def __format__(self, form: str) -> str:
        return format(float(self), form)


class Word(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "Word()"


def records(*readings: Plain) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(encode_plain(readings, device=DEVICE))
    return found


@given(st.lists(PLAIN, min_size=1, max_size=12))
def test_what_is_written_is_read_again(readings: list[Plain]) -> None:
    numbered = [(*reading[:4], n) for n, reading in enumerate(readings, start=7)]
    back = readings_of(decode(encode_plain(numbered, device=DEVICE)), device=DEVICE, epoch="e", first_seq=7)
    assert [(each.channel, each.unit, each.value, type(each.value), each.seq) for each in back] == [
        (channel, unit, value, type(value), seq) for channel, unit, value, _, seq in numbered
    ]
    for each, (_, _, _, time, _) in zip(back, numbered, strict=True):
        assert math.isclose(each.time, time, rel_tol=0, abs_tol=1e-4)


@given(st.lists(PLAIN, min_size=1, max_size=12))
def test_readings_are_written_as_their_tuples(readings: list[Plain]) -> None:
    whole = [
        Reading(channel=channel, unit=unit, value=value, time=time, seq=seq)
        for channel, unit, value, time, seq in readings
    ]
    assert encode(whole, device=DEVICE) == encode_plain(readings, device=DEVICE)


def test_a_lone_channel_is_in_the_base_name() -> None:
    assert records(("t", "Cel", 1.5, AT, 1), ("t", "Cel", 2.0, AT + 10, 2)) == [
        {"bn": "hall/t", "bt": AT, "bu": "Cel", "v": 1.5},
        {"v": 2.0, "t": 10},
    ]
    assert records(("t", None, True, AT, 1)) == [{"bn": "hall/t", "bt": AT, "vb": True}]


def test_a_unit_that_all_have_is_the_base_unit() -> None:
    assert records(("a", "Cel", 1, AT, 1), ("b", "Cel", 2, AT, 2)) == [
        {"bn": "hall/", "bt": AT, "bu": "Cel", "n": "a", "v": 1},
        {"n": "b", "v": 2},
    ]


@pytest.mark.parametrize("unit", [None, "W"])
def test_units_that_differ_are_said_each(unit: str | None) -> None:
    own = {} if unit is None else {"u": unit}
    assert records(("t", "Cel", 1, AT, 1), ("t", unit, 2, AT, 2)) == [
        {"bn": "hall/", "bt": AT, "n": "t", "u": "Cel", "v": 1},
        {"n": "t", **own, "v": 2},
    ]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (0, None),
        (0.25, "0.25"),
        (-0.25, "-0.25"),
        (100.0, "100"),
        (1e-6, "0.000001"),
        (3e-7, None),
        (-3e-7, None),
        (0.1 + 0.2, "0.3"),
        (123456.789, "123456.789"),
    ],
)
def test_times_are_written_as_short_as_they_are(later: float, said: str | None) -> None:
    text = encode_plain([("t", None, 1, 2.0**29, 1), ("t", None, 1, 2.0**29 + later, 2)], device=DEVICE)
    assert text.endswith('{"v":1}]' if said is None else f'{{"v":1,"t":{said}}}]')


def test_numbers_like_numpys_are_written_as_numbers() -> None:
    values: tuple[Value, ...] = (Half(0.5), Level.LOW, Word("hi"))
    readings: list[Plain] = [("t", None, value, Half(AT), n) for n, value in enumerate(values, start=1)]
    assert records(*readings) == [{"bn": "hall/t", "bt": AT, "v": 0.5}, {"v": 3}, {"vs": "hi"}]


def test_whole_times_are_fine() -> None:
    [first, second] = decode(
        encode_plain([("t", None, 1, 1_795_224_000, 1), ("t", None, 1, 1_795_224_060, 2)], device=DEVICE)
    )
    assert (first.time, second.time) == (1_795_224_000, 1_795_224_060)


@pytest.mark.parametrize("time", [2.0**28, 2.0**28 + 0.5, 253_402_300_799.5])
def test_times_at_the_bounds_can_travel(time: float) -> None:
    [record] = decode(encode_plain([("t", None, 1, time, 1)], device=DEVICE))
    assert record.time == time


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, 0.0, -1.0, 2.0**28 - 1, 253_402_300_800.0])
def test_times_beyond_the_bounds_are_refused(time: float) -> None:
    for readings in ([("t", None, 1, time, 1)], [("t", None, 1, AT, 1), ("t", None, 1, time, 2)]):
        with pytest.raises(InvalidError, match="channel t: "):
            encode_plain(readings, device=DEVICE)


@pytest.mark.parametrize("time", [0.0, -0.5, -1e6, 1 - 2.0**28])
def test_relative_times_at_the_bounds_can_travel(time: float) -> None:
    text = encode_plain([("t", None, 1, time, 1)], device=DEVICE, clock="r")
    [record] = decode(text, received=AT)
    assert record.time == AT + time


@pytest.mark.parametrize("time", [math.nan, 1e-3, AT, -(2.0**28)])
def test_relative_times_beyond_the_bounds_are_refused(time: float) -> None:
    for readings in ([("t", None, 1, time, 1)], [("t", None, 1, -5.0, 1), ("t", None, 1, time, 2)]):
        with pytest.raises(InvalidError, match="relative time"):
            encode_plain(readings, device=DEVICE, clock="r")


@pytest.mark.parametrize("alone", [True, False])
def test_a_bad_name_is_refused_in_a_lone_channel_too(*, alone: bool) -> None:
    others: list[Plain] = [] if alone else [("t", None, 1, AT, 1)]
    with pytest.raises(InvalidError, match="use A-Z"):
        encode_plain([*others, ("a b", None, 1, AT, 2)], device=DEVICE)
