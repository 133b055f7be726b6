"""Floats as they were meant, descriptions that hold together, the board's clock and its numbers."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.boardclock import WRAP, BoardClock
from firmware_bridge.description import Decoder, Description, schema_of
from firmware_bridge.messages import (
    Channel,
    Command,
    Message,
    Parameter,
    Sync,
    Synced,
    parse_message,
    write_message,
)
from firmware_bridge.sequence import BACK, REPEATED, Sequence
from firmware_bridge.values import Kind, short_float, write_tagged, write_text, write_value
from iotxmpp.errors import ArgumentsError, InvalidError, UnknownCommandError
from iotxmpp.readings import Value

FLOAT = struct.Struct("<f")
WRONG_ARGUMENTS: list[tuple[dict[str, Value], str]] = [
    ({}, "'n' is missing"),
    ({"n": 1, "x": 1}, "no argument 'x'; it has n, for"),
    ({"n": "one"}, "'one' is no int"),
    ({"n": 2**40}, "does not fit 32 bits"),
]
WRONG_VALUES: list[tuple[Kind, Value, str]] = [
    (Kind.INT, 2**31, "does not fit 32 bits"),
    (Kind.FLOAT, 1e39, "does not fit a float32"),
    (Kind.BOOL, 1, "is no bool"),
    (Kind.STR, "x" * 248, "at most 247"),
    (Kind.INT, True, "is no int"),
]


@pytest.mark.parametrize(
    "text", ["21.1", "0.1", "-40.05", "1013.25", "1e-45", "3.4028235e+38", "16777216.0", "0.0"]
)
def test_a_float32_is_shown_as_it_was_written(text: str) -> None:
    assert short_float(FLOAT.unpack(FLOAT.pack(float(text)))[0]) == float(text)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_float_is_the_same_float32_and_never_longer(value: float) -> None:
    short = short_float(value)
    assert FLOAT.pack(short) == FLOAT.pack(value)
    assert len(repr(abs(short)).replace(".0", "")) <= len(repr(abs(value)).replace(".0", ""))


@given(st.decimals(min_value=-9999, max_value=9999, places=2))
def test_two_decimals_survive(value: object) -> None:
    number = float(str(value))
    assert short_float(FLOAT.unpack(FLOAT.pack(number))[0]) == number


def test_values_that_do_not_fit_are_refused_in_words() -> None:
    for kind, value, words in WRONG_VALUES:
        with pytest.raises(InvalidError, match=words):
            write_value(kind, value)
    assert write_tagged(2**40)[0] == Kind.FLOAT
    assert write_text("ü") == b"\x02\xc3\xbc"


def describe(*messages: Message, schema: int | None = None) -> Description:
    bodies = [write_message(each) for each in messages]
    return Description.parse(bodies, schema_of(bodies) if schema is None else schema, "board b")


ONE = Channel(index=0, kind=Kind.FLOAT, name="t", unit="Cel")
SWITCH = Command(
    index=0,
    name="switch",
    parameters=(Parameter(kind=Kind.INT, name="n"), Parameter(kind=Kind.FLOAT, name="for", optional=True)),
)


@pytest.mark.parametrize(
    ("messages", "schema", "words"),
    [
        ((ONE,), 1, "its hello says schema 0001, what it describes has"),
        ((ONE, Channel(index=1, kind=Kind.INT, name="t")), None, "channel 't' stands there twice"),
        ((Channel(index=0, kind=Kind.INT, name="a b"),), None, "channel 'a b': a name has 1 to 63"),
        ((Channel(index=0, kind=Kind.INT, name=""),), None, "channel ''"),
        ((Channel(index=0, kind=Kind.INT, name="t", low=2, high=1),), None, "its range is 2 to 1; swap them"),
        ((Channel(index=0, kind=Kind.BOOL, name="t", low=0, high=1),), None, "a range is for numbers only"),
        ((SWITCH, SWITCH), None, "command 'switch' stands there twice"),
        (
            (Command(index=0, name="c", parameters=(Parameter(kind=Kind.INT, name="n"),) * 2),),
            None,
            "command c: argument 'n' stands there twice",
        ),
    ],
)
def test_descriptions_that_contradict_are_refused(
    messages: tuple[Message, ...], schema: int | None, words: str
) -> None:
    with pytest.raises(InvalidError, match=words):
        describe(*messages, schema=schema)


def test_arguments_are_checked_before_they_are_sent() -> None:
    description = describe(ONE, SWITCH)
    assert description.encode("switch", {"n": 2.0}) == (0, b"\x01\x02\0\0\0\0")
    for arguments, words in WRONG_ARGUMENTS:
        with pytest.raises(ArgumentsError, match=words):
            description.encode("switch", arguments)
    with pytest.raises(UnknownCommandError, match="the board has switch"):
        description.encode("swich", {})


def test_reports_are_decoded_and_what_is_no_number_is_dropped() -> None:
    description = describe(
        ONE, Channel(index=1, kind=Kind.STR, name="s"), Channel(index=2, kind=Kind.BOOL, name="b")
    )
    decoder = Decoder(description)
    assert decoder.decode(b"\0" + FLOAT.pack(21.1) + b"\x01\x02ok\x02\x01") == (
        {"t": 21.1, "s": "ok", "b": True},
        [],
    )
    for bad in (math.nan, math.inf, -math.inf):
        assert decoder.decode(b"\x02\0\0" + FLOAT.pack(bad)) == ({"b": False}, ["t"])
    for data in (b"\x03", b"\0\0\0", b"\x01\x05ab", b"\x02\x02", b"\x02"):
        with pytest.raises(InvalidError):
            decoder.decode(data)


def test_times_come_from_the_quickest_answer_and_follow_the_wrap() -> None:
    clock = BoardClock()
    assert clock.time_of(5, 100.0) == 100.0
    clock.learn(WRAP - 1000, 100.0, 100.2)
    clock.learn(WRAP - 950, 100.2, 101.0)
    assert clock.time_of(WRAP - 1000, 101.0) == pytest.approx(100.1)
    assert clock.time_of(500, 102.0) == pytest.approx(101.6)
    assert clock.time_of(WRAP - 2000, 102.0) == pytest.approx(99.1)
    assert clock.time_of(60_000, 102.0) == 102.0


def test_a_fresh_answer_beats_an_old_quick_one_as_clocks_drift() -> None:
    clock = BoardClock()
    clock.learn(1000, 100.0, 100.0)
    clock.learn(101_400, 200.0, 200.02)
    assert clock.time_of(101_400, 201.0) == pytest.approx(200.01)


def test_answers_count_for_the_sending_that_they_answer() -> None:
    clock = BoardClock()
    clock.reset(100.0)
    first = parse_message(clock.ask(100.0, 1000.5))
    second = parse_message(clock.ask(105.0, 1005.5))
    assert isinstance(first, Sync)
    assert isinstance(second, Sync)
    assert (first.unix, first.ms) == (1000, 500)
    assert not clock.answered(Synced(token=99, millis=0), 105.1)
    assert clock.answered(Synced(token=first.token, millis=5000), 105.2)
    assert clock.time_of(5000, 110.0) == pytest.approx(102.6)
    assert not clock.answered(Synced(token=second.token, millis=5000), 105.3)


def test_numbers_that_jump_repeat_and_go_back() -> None:
    sequence = Sequence()
    assert sequence.follow(65_534, WRAP - 5) == 0
    assert sequence.follow(65_535, WRAP - 1) == 0
    assert sequence.follow(65_535, WRAP - 1) == REPEATED
    assert sequence.follow(0, 10) == 0
    assert sequence.follow(5, 20) == 4
    assert sequence.follow(4, 30) == BACK
    assert sequence.follow(5, 30) == BACK
    assert sequence.follow(8, WRAP - 5000) == BACK
    assert sequence.follow(6, 30) == 0
