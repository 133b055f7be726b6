"""The splitter on any stream: what is whole comes through, memory is bounded, nothing holds it up."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.frames import (
    MAX_BLOCK,
    MAX_BODY,
    Damage,
    Frame,
    Piece,
    Splitter,
    cobs,
    decode_frame,
    encode_frame,
    uncobs,
)
from firmware_bridge.lines import LONGEST
from iotxmpp.errors import InvalidError
from tests.effort import SOON, seconds_of

MEGABYTES = 10_000_000
BODY = b"\x04" + bytes(6)
bodies = st.builds(
    lambda kind, rest: bytes((kind,)) + rest,
    st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 19]),
    st.binary(max_size=MAX_BODY - 1),
)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=2, max_size=60)


def feed(data: bytes, size: int = 65_536) -> tuple[list[Piece], Splitter]:
    splitter, pieces = Splitter(), []
    for start in range(0, len(data), size):
        pieces += splitter.feed(data[start : start + size])
    return pieces, splitter


@given(st.binary(max_size=700))
def test_stuffing_goes_and_comes_back_without_a_zero(data: bytes) -> None:
    assert 0 not in cobs(data)
    assert uncobs(cobs(data)) == data


@given(st.binary(max_size=300))
def test_any_block_is_unstuffed_or_refused(data: bytes) -> None:
    for read in (uncobs, decode_frame):
        with contextlib.suppress(InvalidError):
            assert len(read(data)) <= len(data)


@given(st.lists(st.one_of(bodies, texts), max_size=12), st.data())
@settings(deadline=None)
def test_frames_and_lines_come_through_in_their_order(parts: list[bytes | str], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(p) if isinstance(p, bytes) else p.encode() + b"\n" for p in parts)
    splitter, pieces, place = Splitter(), [], 0
    while place < len(stream):
        size = data.draw(st.integers(1, 300))
        pieces += splitter.feed(stream[place : place + size])
        place += size
    assert pieces == [Frame(p) if isinstance(p, bytes) else p.encode() for p in parts]
    assert splitter.waiting <= 1


@given(st.binary(max_size=2000), st.integers(1, 200))
@settings(deadline=None)
def test_after_any_bytes_the_second_frame_and_the_second_line_are_read(junk: bytes, size: int) -> None:
    tail = encode_frame(BODY) * 2 + b"first\nsecond\n"
    pieces, splitter = feed(junk + b"\n\n" + tail, size)
    assert pieces[-1] == b"second"
    assert Frame(BODY) in pieces
    assert splitter.waiting <= max(MAX_BLOCK, LONGEST + 1)


@given(st.binary(max_size=400), st.integers(0, 399), st.integers(1, 255))
@settings(deadline=None)
def test_a_damaged_byte_gives_no_wrong_frame(body: bytes, place: int, change: int) -> None:
    frame = bytearray(encode_frame(b"\x04" + body[: MAX_BODY - 1]))
    frame[place % len(frame)] ^= change
    wrong = [each for each in Splitter().feed(bytes(frame)) if isinstance(each, Frame)]
    assert wrong in ([], [Frame(b"\x04" + body[: MAX_BODY - 1])])


@pytest.mark.parametrize(
    "data",
    [
        b"a" * MEGABYTES,
        bytes(MEGABYTES),
        b"\xff" * MEGABYTES,
        b"\0\x05\x04" + b"\x07" * MEGABYTES,
        b"\n" * MEGABYTES,
    ],
    ids=["a line without an end", "zeros", "ones", "a frame without an end", "line ends"],
)
def test_endless_input_takes_neither_memory_nor_the_stream(data: bytes) -> None:
    splitter, damage, longest = Splitter(), 0, 0
    tracemalloc.start()
    try:
        for start in range(0, len(data), 65_536):
            pieces = splitter.feed(data[start : start + 65_536])
            damage += len([each for each in pieces if isinstance(each, Damage)])
            assert splitter.waiting <= LONGEST + 1
        longest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert longest < 2_000_000
    assert damage <= 1
    rest = splitter.feed(b"\n" + encode_frame(BODY) + b"line\n")
    assert rest[-2:] == [Frame(BODY), b"line"]
    assert seconds_of(lambda: Splitter().feed(data[:1_000_000])) < SOON


def test_limits_are_told_in_words() -> None:
    with pytest.raises(InvalidError, match="251 bytes; at least 1, at most 250"):
        encode_frame(bytes(251))
    with pytest.raises(InvalidError, match="0 bytes"):
        encode_frame(b"")
    pieces, _ = feed(b"x" * 600)
    assert [str(each.why) for each in pieces if isinstance(each, Damage)] == [
        "a line of more than 513 bytes; its end is skipped"
    ]


def test_a_new_connection_begins_at_once() -> None:
    splitter = Splitter()
    splitter.feed(b"x" * 600)
    splitter.reset()
    assert splitter.feed(b"a=1\n") == [b"a=1"]


PARTS = [
    *(b"\0", b"\n", b"\x0e", b"\x01", b"A", b"\r\n", b"\xbf" * 252, b"level=1\n", b"\0\x05"),
    *(b"x" * (MAX_BLOCK), b"y" * 300, encode_frame(b"\x04abc")),
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PARTS), max_size=8).map(b"".join))
def test_how_the_reads_are_cut_changes_nothing(data: bytes) -> None:
    assert _told([data]) == _told([data[place : place + 1] for place in range(len(data))])


def _told(reads: list[bytes]) -> list[object]:
    """What comes of the reads: damage in a row counts once, empty lines not at all."""
    splitter = Splitter()
    pieces = [piece for read in reads for piece in splitter.feed(read) if piece != b""]
    told: list[object] = ["damage" if isinstance(piece, Damage) else piece for piece in pieces]
    return [
        piece
        for place, piece in enumerate(told)
        if piece != "damage" or told[place - 1 : place] != ["damage"]
    ]
