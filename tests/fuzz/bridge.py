"""Fuzz targets of the serial link: each takes bytes and returns, or raises what no input may bring about.

Hypothesis runs them with the tests. With atheris installed, `python -m tests.fuzz.bridge TARGET [FOLDER]`
runs one without end, and takes libFuzzer's options.
"""

import sys
from collections.abc import Callable
from importlib import import_module

from firmware_bridge.board import BoardSession, Protocol
from firmware_bridge.crc import crc16
from firmware_bridge.description import Decoder, Description
from firmware_bridge.events import Answered, Sampled, SessionEvent
from firmware_bridge.frames import MAX_BLOCK, Frame, Piece, Splitter, cobs, decode_frame, encode_frame, uncobs
from firmware_bridge.lines import LONGEST, parse_line
from firmware_bridge.messages import Channel, parse_message, write_message
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.values import Kind, read_arguments
from iotxmpp.errors import InvalidError

MOST = 16_384
"""Bytes of one input at most, as of one read of a port."""

MOST_PIECES = 64
"""Frames and lines of one input at most, where they are made from it."""

PROTOCOLS: tuple[Protocol, ...] = ("auto", "text", "frames")

_CHANNELS = tuple(Channel(index=int(kind), kind=kind, name=kind.name) for kind in Kind)


def text_line(data: bytes) -> None:
    """A text line is parsed or refused."""
    dropped: dict[str, str] = {}
    for names in (None, dropped):
        try:
            parse_line(data, dropped=names)
        except InvalidError as error:
            check(bool(str(error)), "an error without words")


def frame(data: bytes) -> None:
    """A frame is read or refused, and stuffing comes back."""
    check(uncobs(cobs(data)) == data, "stuffing did not come back")
    for read in (decode_frame, uncobs):
        try:
            read(data)
        except InvalidError as error:
            check(bool(str(error)), "an error without words")


def message(data: bytes) -> None:
    """A body is read or refused; what was read, can be written and read again."""
    try:
        parsed = parse_message(data)
    except InvalidError:
        return
    try:
        again = parse_message(write_message(parsed))
    except InvalidError as error:
        check("at most" in str(error), "a message that was read cannot be written")
        return
    check(repr(again) == repr(parsed), "a message did not come back")


def values(data: bytes) -> None:
    """The values of a report and of a call are read or refused, and are finite."""
    try:
        told, _ = Decoder(Description(channels=_CHANNELS, commands=())).decode(data)
        check(all(value == value for value in told.values()), "a value that is no number")  # noqa: PLR0124  # NaN
    except InvalidError:
        pass
    try:
        read_arguments(tuple(Kind), data)
    except InvalidError:
        return


def stream(data: bytes) -> None:
    """A stream gives the same however it is cut, keeps little, and goes on after anything.

    Empty lines mean nothing, and many together may be given as fewer.
    """
    whole, cut = Splitter(), Splitter()
    size = 1 + len(data) % 251
    pieces = whole.feed(data)
    parts = [piece for at in range(0, len(data), size) for piece in cut.feed(data[at : at + size])]
    good = [
        [piece for piece in each if isinstance(piece, Frame) or piece] for each in map(_read, (pieces, parts))
    ]
    check(good[0] == good[1], "the cuts change what is read")
    check(whole.waiting <= max(MAX_BLOCK, LONGEST + 1), "too much is kept")
    body = b"\x04" + bytes(6)
    after = whole.feed(b"\n\n" + encode_frame(body) * 2 + b"x\nlast\n")
    check(Frame(body) in after and after[-1] == b"last", "it did not go on")


def _read(pieces: list[Piece]) -> list[Frame | bytes]:
    """What was read, without damage."""
    return [piece for piece in pieces if isinstance(piece, Frame | bytes)]


def session(data: bytes) -> None:
    """A session takes whatever comes, keeps its promises, and works again with a board that starts."""
    made = BoardSession(wall=lambda: 1.8e9, first_call=1)
    now = 100.0
    events = made.open(now)
    for start in range(0, len(data), 256):
        now += 0.3
        events += made.receive(data[start : start + 256], now)
        events += made.tick(now)
        made.outgoing()
    _judge(events)
    _works_again(made, now)


def checked(data: bytes) -> None:
    """A session takes any bodies and lines whose checks fit, before and after its board is described.

    The first byte says whether the board is described; then a byte before each piece says its size, and by
    its highest bit whether it is the body of a frame or a text line.
    """
    for protocol in PROTOCOLS:
        made = BoardSession(protocol=protocol, wall=lambda: 1.8e9, first_call=1)
        now = 100.0
        events = made.open(now)
        if data[:1] and data[0] & 1:
            now = _acquaint(made, now)
        for piece in _with_checks(data[1:]):
            now += 0.05
            events += made.receive(piece, now)
            events += made.tick(now)
            made.outgoing()
        _judge(events)
        if protocol == "auto":
            _works_again(made, now)


def _with_checks(data: bytes) -> list[bytes]:
    """The pieces that bytes say, as frames and lines with good checks."""
    pieces: list[bytes] = []
    place = 0
    while place < len(data) and len(pieces) < MOST_PIECES:
        size = 1 + (data[place] & 0x7F)
        body = data[place + 1 : place + 1 + size]
        if body and data[place] & 0x80:
            pieces.append(encode_frame(body))
        elif body:
            text = body.replace(b"\n", b" ").replace(b"\0", b" ")
            pieces.append(text + b" *%04X\n" % crc16(text))
        place += 1 + size
    return pieces


def _acquaint(made: BoardSession, now: float) -> float:
    """A simulated board says who it is and what it has."""
    board = SimulatedBoard(every=0)
    board.start(now)
    for _ in range(20):
        now += 0.02
        board.receive(made.outgoing()[:64], now)
        board.tick(now)
        made.receive(board.outgoing(), now)
        made.tick(now)
    return now


def _judge(events: list[SessionEvent]) -> None:
    """A session tells no answer where no call was, and no value that is no number."""
    for event in events:
        check(not isinstance(event, Answered), "an answer to no call")
        if isinstance(event, Sampled):
            check(all(value == value for value in event.values.values()), "no number")  # noqa: PLR0124  # NaN


def _works_again(made: BoardSession, now: float) -> None:
    """After anything, a session works with a board that starts."""
    board = SimulatedBoard(every=0.1)
    events = [*made.close(now), *made.open(now)]
    for _ in range(60):
        now += 0.05
        board.receive(made.outgoing()[:64], now)
        board.tick(now)
        events += made.receive(board.outgoing(), now)
        events += made.tick(now)
    check(any(isinstance(event, Sampled) for event in events), "no value after all")


def board(data: bytes) -> None:
    """The simulated board takes whatever comes, too."""
    for level in (0, 1):
        made = SimulatedBoard(level=level)
        made.start(0.0)
        for start in range(0, len(data), 64):
            made.receive(data[start : start + 64], 0.0)
            made.tick(0.0)
        made.outgoing()


def check(holds: bool, why: str) -> None:  # a condition, as assert takes it
    """Raises if a promise is broken; unlike `assert`, with any options of Python."""
    if not holds:
        raise RuntimeError(why)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "text_line": text_line,
    "frame": frame,
    "message": message,
    "values": values,
    "stream": stream,
    "session": session,
    "checked": checked,
    "board": board,
}
"""Every target by its name."""


def main() -> None:
    """Runs one target under atheris."""
    atheris = import_module("atheris")  # it is not in the project's lock

    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"name a target: {', '.join(TARGETS)}")
    atheris.instrument_all()
    atheris.Setup(sys.argv, lambda data: TARGETS[name](data[:MOST]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
