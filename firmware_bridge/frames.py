"""Level 1 on the wire: COBS frames with a CRC, and the splitter that takes frames and text from one stream.

A frame is `00 COBS(body, check) 00`; zero stands nowhere else. See docs/serial.md, sections 5 and 6. No I/O.
"""

import binascii
import re
from dataclasses import dataclass

from firmware_bridge.crc import crc16
from firmware_bridge.lines import LONGEST
from iotxmpp.errors import InvalidError

MAX_BODY = 250
"""Bytes of a body at most, its check not counted."""

MAX_BLOCK = MAX_BODY + 3
"""Bytes between the two zeros of a frame at most: the body, its check, and COBS' first byte."""

OVERHEAD = 5
"""Bytes that a frame is longer than its body: two zeros, COBS' first byte, the check."""

_LEAST_BLOCK = 4
_ZEROS_OF_ONE = 2
_RUN = 254
_CODES = [bytes((size + 1,)) for size in range(_RUN)]
_SLICE = 4096
_TYPES = frozenset(range(0x01, 0x20)) - {0x09, 0x0A, 0x0D}
"""What the second byte of a block may be, which is its message's type; no text has such a byte."""
_TYPE_BYTES = frozenset(bytes((each,)) for each in _TYPES)
_ZEROS = re.compile(rb"\0{2,}")
_ENDS = re.compile(rb"\n{2,}")
_END = re.compile(rb"[\n\0]")


@dataclass(frozen=True, slots=True)
class Frame:
    """The body of a frame whose check fits."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that were lost.

    Attributes:
        size: How many, at least; what runs on over its limit is told once, when it does.
        why: What is wrong with them, for people.
    """

    size: int
    why: str


Piece = Frame | bytes | Damage
"""What a splitter gives: a frame, a text line without its end, or damage."""


def cobs(data: bytes) -> bytes:
    """The data without a zero byte: consistent overhead byte stuffing."""
    runs = data.split(b"\0")
    if len(data) < _RUN:  # as every frame of ours is
        return b"".join([_CODES[len(run)] + run for run in runs])
    out = bytearray()
    last = len(runs) - 1
    for number, each in enumerate(runs):
        run = each
        while len(run) >= _RUN:
            out.append(_RUN + 1)
            out += run[:_RUN]
            run = run[_RUN:]
            if not run and number == last:
                return bytes(out)
        out.append(len(run) + 1)
        out += run
    return bytes(out)


def uncobs(block: bytes) -> bytes:
    """The data of a stuffed block.

    Raises:
        InvalidError: It is empty, holds a zero, or a run goes over its end.
    """
    if not block or 0 in block:
        raise InvalidError("COBS block: empty, or a zero in it; the sender must stuff every zero")
    out = bytearray()
    place, size = 0, len(block)
    while place < size:
        code = block[place]
        out += block[place + 1 : place + code]
        place += code
        if code <= _RUN and place < size:
            out.append(0)
    if place > size:
        raise InvalidError(f"COBS block: a run goes {place - size} bytes over its end; bytes were lost")
    return bytes(out)


def encode_frame(body: bytes) -> bytes:
    """The frame of a body, with both zeros.

    Raises:
        InvalidError: The body is empty or too long.
    """
    if not 0 < len(body) <= MAX_BODY:
        raise InvalidError(f"frame: a body of {len(body)} bytes; at least 1, at most {MAX_BODY}")
    return b"\0" + cobs(body + crc16(body).to_bytes(2, "big")) + b"\0"


def decode_frame(frame: bytes) -> bytes:
    """The body of one frame, with both zeros.

    Raises:
        InvalidError: It is no whole frame, or damaged.
    """
    if frame[:1] != b"\0" or frame[-1:] != b"\0" or 0 in frame[1:-1] or len(frame) < _LEAST_BLOCK + 2:
        raise InvalidError("frame: expected 00, at least 4 bytes other than 00, and 00")
    piece = _piece(frame[1:-1])
    if isinstance(piece, Damage):
        raise InvalidError(f"frame: {piece.why}")
    return piece.body


def _piece(block: bytes) -> Frame | Damage:
    """What stands between two zeros.

    A legal block is shorter than COBS' longest run. So each code byte stands for the zero before the next
    one, and is overwritten by it in place.
    """
    size = len(block)
    if not _LEAST_BLOCK <= size <= MAX_BLOCK:
        return Damage(size, f"a frame of {size} bytes between its zeros; at least 4, at most {MAX_BLOCK}")
    data = bytearray(block)
    place = 0
    while place < size:
        code = data[place]
        data[place] = 0
        place += code
    if place != size:
        return Damage(size, "a frame with bytes lost or added: a run goes over its end")
    body = bytes(data[1:-2])
    if binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF != data[-2] << 8 | data[-1]:
        return Damage(size, "a frame whose check does not fit")
    return Frame(body)


class Splitter:
    """Takes a stream of frames and text lines apart, however the reads cut it.

    What follows a zero is a frame if its second byte can be a message's type, which is no byte of a text;
    otherwise it is text, and its lines are given as they end. So neither damage nor a stray zero holds up
    the text after it, and after any fault the next frame or line is read again. It keeps at most one line or
    one frame.

    Attributes:
        waiting: Bytes that are kept, for want of their end.
    """

    __slots__ = ("_framed", "_rest", "_skipping")

    def __init__(self) -> None:
        self._rest = b""
        self._framed = False
        self._skipping = False

    @property
    def waiting(self) -> int:
        """Bytes that are kept, for want of their end."""
        return len(self._rest)

    def reset(self) -> None:
        """Forgets what is kept, for a new connection."""
        self._rest, self._framed, self._skipping = b"", False, False

    def feed(self, data: bytes) -> list[Piece]:
        """The frames, lines and damage that these bytes complete, in their order.

        Args:
            data: What came. Reads of up to 16,384 bytes are meant; longer ones are taken, too.
        """
        if (
            data.count(b"\0") == _ZEROS_OF_ONE
            and not (self._rest or self._skipping)
            and data[0] == data[-1] == 0
            and len(data) <= MAX_BLOCK + _ZEROS_OF_ONE
            and data[2:3] in _TYPE_BYTES
        ):  # one whole frame, as most answers come
            self._framed = True
            return [_piece(data[1:-1])]
        pieces: list[Piece] = []
        if len(data) <= _SLICE:
            self._take(data, pieces)
        else:
            for start in range(0, len(data), _SLICE):
                self._take(data[start : start + _SLICE], pieces)
        return pieces

    def _take(self, data: bytes, pieces: list[Piece]) -> None:
        if self._skipping:
            end = _END.search(data)
            if end is None:
                return
            # A line end is gone with its line; a zero may open a frame.
            data = data[end.end() if end[0] == b"\n" else end.start() :]
            self._skipping = False
        if b"\0\0\0" in data:
            data = _ZEROS.sub(b"\0", data)
        segments = (self._rest + data).split(b"\0")
        rest = segments.pop()
        framed = self._framed
        for segment in segments:
            if not framed:
                self._cut_text(segment, pieces)
            elif len(segment) > 1:
                if segment[1] not in _TYPES:
                    self._cut_text(segment, pieces)
                elif len(segment) > MAX_BLOCK:
                    self._cut_text(self._after(segment, MAX_BLOCK, "a frame", pieces) or b"", pieces)
                else:
                    pieces.append(_piece(segment))
            elif segment:
                pieces.append(Damage(1, "a byte between two zeros"))
            framed = True
        self._framed = framed
        self._keep(rest, pieces)

    def _cut_text(self, segment: bytes, pieces: list[Piece]) -> None:
        """Text that a zero ends: a last line without its own end is damaged."""
        rest = self._lines(segment, pieces)
        if rest:
            pieces.append(Damage(len(rest), "a line that a zero cuts off"))

    def _keep(self, rest: bytes, pieces: list[Piece]) -> None:
        """What no zero ends so far."""
        if self._framed and (len(rest) <= 1 or rest[1] in _TYPES):
            limit, what = MAX_BLOCK, "a frame"
        else:
            if b"\n" in rest:
                rest = self._lines(rest, pieces)
                self._framed = False
            limit, what = LONGEST + 1, "a line"
        if len(rest) > limit:
            text = self._after(rest, limit, what, pieces)
            self._framed = False
            self._skipping = text is None
            rest = self._lines(text or b"", pieces)
            if len(rest) > LONGEST + 1:
                self._keep(rest, pieces)
                return
        self._rest = rest

    @staticmethod
    def _after(block: bytes, limit: int, what: str, pieces: list[Piece]) -> bytes | None:
        """What follows the line end at which one reads on after too long a block; None where there is none.

        The end is looked for where a reader that has seen no more than the limit would begin to.
        """
        pieces.append(Damage(len(block), f"{what} of more than {limit} bytes; its end is skipped"))
        end = block.find(b"\n", limit + 1)
        return None if end < 0 else block[end + 1 :]

    @staticmethod
    def _lines(text: bytes, pieces: list[Piece]) -> bytes:
        """Adds the whole lines of a text, and returns what follows them."""
        if b"\n\n\n" in text:
            text = _ENDS.sub(b"\n", text)
        *lines, rest = text.split(b"\n")
        for line in lines:
            if len(line) > LONGEST + 1:
                pieces.append(Damage(len(line), f"a line of more than {LONGEST} bytes"))
            else:
                pieces.append(line)
        return rest
