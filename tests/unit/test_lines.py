import binascii
import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.lines import Event, Identity, Ignored, Line, Log, Values, parse_line
from iotxmpp.errors import InvalidError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"temperature=21.5 humidity=40\r\n", Values(values={"temperature": 21.5, "humidity": 40})),
        (b"  a=-1\tb=+2.5e3  c=.5 \n", Values(values={"a": -1, "b": 2500.0, "c": 0.5})),
        (
            b"relay/1=true door=false state=open",
            Values(values={"relay/1": True, "door": False, "state": "open"}),
        ),
        (b'text="two words" empty=""', Values(values={"text": "two words", "empty": ""})),
        (b"id=0x1F v=1_000", Values(values={"id": "0x1F", "v": "1_000"})),
        (b"big=12345678901234567890", Values(values={"big": 1.2345678901234567e19})),
        ("ort=küche".encode(), Values(values={"ort": "küche"})),
        (b"#  booting v1.2\n", Log(text="booting v1.2")),
        (b"#", Log(text="")),
        (b"!pressed", Event(name="pressed")),
        (b"! button/1 long press\n", Event(name="button/1", text="long press")),
        (b"", Ignored()),
        (b" \t\r\n", Ignored()),
    ],
)
def test_lines_mean_what_they_say(line: bytes, expected: Line) -> None:
    parsed = parse_line(line)
    assert parsed == expected
    if isinstance(parsed, Values) and isinstance(expected, Values):
        assert [type(value) for value in parsed.values.values()] == [
            type(v) for v in expected.values.values()
        ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"erature21.5", "expected name=value at 'erature21.5'"),
        (b"a=1 junk", "expected name=value at 'junk'"),
        (b"a=", "expected name=value"),
        (b'a="open', "expected name=value"),
        (b"a=1=2", "expected name=value"),
        (b"_a=1", "expected name=value"),
        (b"a=1 a=2", "a stands there twice"),
        (b"t=nan", "t: nan is not a finite number"),
        (b"t=-INF", "not a finite number"),
        (b"t=ovf", "not a finite number"),
        (b"t=1e999", "not a finite number"),
        (b"!", "expected an event's name"),
        (b"! ?", "expected an event's name"),
        (b"t=\xff\xfe", "byte 2 is no UTF-8; is the speed right"),
        (b"t=\x001", "control character"),
        (b"#\x1b[31m", "control character"),
        (b"#" * 513, "513 bytes, at most 512"),
    ],
)
def test_junk_gets_a_clear_error(line: bytes, words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        parse_line(line)
    assert len(str(caught.value)) < 500


def test_the_check_is_crc_16_genibus() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) ^ 0xFFFF == 0xD64E  # the catalogue's check value
    assert parse_line(b"a=1 *%04X\n" % (binascii.crc_hqx(b"a=1", 0xFFFF) ^ 0xFFFF)) == Values(values={"a": 1})
    with pytest.raises(InvalidError, match="damaged"):
        parse_line(b"a=1 *0000")


@given(st.floats(-100, 100), st.data())
def test_a_checked_line_shows_any_single_damage(value: float, data: st.DataObject) -> None:
    body = f"temperature={value!r} humidity=40".encode()
    line = body + b" *%04x" % (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF)
    assert parse_line(line + b"\n") == Values(values={"temperature": value, "humidity": 40})
    position = data.draw(st.integers(0, len(body) - 1))
    damaged = bytearray(line)
    damaged[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidError):
        parse_line(bytes(damaged))


@given(
    st.binary(max_size=600) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_no_bytes_raise_anything_else(line: bytes) -> None:
    try:
        parsed = parse_line(line)
    except InvalidError:
        return
    assert isinstance(parsed, Values | Log | Event | Identity | Ignored)


def cost(line: bytes) -> float:
    """The least seconds that a line takes this thread."""
    best = 1.0
    for _ in range(30):
        began = time.thread_time()
        for _ in range(20):
            with contextlib.suppress(InvalidError):
                parse_line(line)
        best = min(best, (time.thread_time() - began) / 20)
    return best


@pytest.mark.parametrize(
    "line",
    [
        b"a" * 511,
        b'a="' + b"x" * 500,
        b"A:" * 255,
        b"a=" + b"x" * 500 + b'"',
        b"a=1" + b" " * 500 + b"=",
        b'a=" ' * 128,
        b"a=1 b=2 " + b"a" * 500,
    ],
)
def test_a_line_that_is_no_pairs_costs_no_more_than_one_that_is(line: bytes) -> None:
    longest = b" ".join(b"%d=1" % number for number in range(100))
    assert cost(line) < cost(longest)
