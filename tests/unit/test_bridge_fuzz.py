"""Any bytes into every parser of the serial link: nothing but the stated errors, and no input over 100 ms."""

import json
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.board import BoardSession, Protocol
from tests.effort import SOON, seconds_of
from tests.fuzz.bridge import MOST, TARGETS
from tests.unit.bridge_vectors import PATH

VECTORS = json.loads(PATH.read_text(encoding="utf-8"))
SEEDS = [bytes.fromhex(each[key]) for each in VECTORS for key in ("body", "frame", "stream") if key in each]
LINES = [
    b"temperature=21.5 humidity=40\r\n",
    b"@hello id=a name=b version=1 boot=3\n",
    b"<1 ok a=1\n",
    b"<1 error no\n",
    b'!pressed "a"\n',
    b"# x *0000\n",
    b"t=nan\n",
]


def near(parts: list[bytes], places: list[tuple[int, int]]) -> bytes:
    """Good bytes with some of them changed."""
    data = bytearray(b"".join(parts))
    for place, change in places if data else []:
        data[place % len(data)] ^= change
    return bytes(data)


inputs = st.one_of(
    st.binary(max_size=600),
    st.builds(
        near,
        st.lists(st.sampled_from([*SEEDS, *LINES]), max_size=8),
        st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    ),
)


@pytest.mark.parametrize("target", TARGETS)
@given(data=inputs)
@settings(max_examples=150, deadline=None)
def test_any_bytes(target: str, data: bytes) -> None:
    TARGETS[target](data)


def pieces(described: bool, parts: list[tuple[bool, int, bytes]]) -> bytes:
    """An input of the target `checked`: bodies of every type, and lines."""
    data = bytes((described,))
    for framed, first, rest in parts:
        body = bytes((first,)) + rest if framed else rest or b"a"
        data += bytes((len(body) - 1 | (0x80 if framed else 0),)) + body
    return data


@given(
    data=st.builds(
        pieces,
        st.booleans(),
        st.lists(
            st.tuples(st.booleans(), st.integers(1, 0x1F), st.binary(max_size=12) | st.sampled_from(LINES)),
            min_size=1,
            max_size=12,
        ),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_bodies_and_lines_whose_checks_fit(data: bytes) -> None:
    TARGETS["checked"](data)


@pytest.mark.parametrize("described", [True, False])
def test_a_body_of_one_byte_of_any_type_is_taken(described: bool) -> None:
    TARGETS["checked"](pieces(described, [(True, each, b"") for each in range(1, 0x20)]))


@pytest.mark.parametrize("target", ["text_line", "frame", "message", "values"])
@pytest.mark.parametrize(
    "pattern", [b"a", b"\0", b"\xff", b"1", b"a=1 ", b'a="', b"1.", b"=", b"\n", b"-", b"\x01", b"e1"]
)
def test_no_input_takes_long(target: str, pattern: bytes) -> None:
    for data in (pattern * (MOST // len(pattern)), b"a=" + pattern * (510 // len(pattern))):
        assert seconds_of(partial(TARGETS[target], data)) < SOON


@pytest.mark.parametrize(
    "pattern",
    [b"#\n", b"x\n", b"\0x", b"\0\x04\x04\x01\x01", b"\xff\n", b"a=1\n", b"@hello id=a\n@hello id=b\n"],
)
@pytest.mark.parametrize("protocol", ["auto", "text", "frames"])
def test_no_read_takes_long(protocol: Protocol, pattern: bytes) -> None:
    data = pattern * (MOST // len(pattern))

    def read() -> None:
        session = BoardSession(protocol=protocol)
        session.open(100.0)
        session.receive(data, 100.0)

    assert seconds_of(read) < SOON
