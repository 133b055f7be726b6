"""How fast the serial link's two levels are decoded on this machine: `python bench/serial_codec.py`.

Frames go through all of it: the splitter, COBS, the check, the values by the board's description, events.
Text lines likewise. The best of several rounds is shown, as others may use the machine; the last line is the
verdict.
"""

import struct
import sys
import time
from collections.abc import Callable

from firmware_bridge.description import schema_of
from firmware_bridge.frames import Frame, Splitter, encode_frame
from firmware_bridge.lines import parse_line
from firmware_bridge.messages import Channel, Hello, Report, write_message
from firmware_bridge.session import FrameSession
from firmware_bridge.textsession import TextSession
from firmware_bridge.values import Kind

FRAMES_A_SECOND = 100_000
MICROSECONDS_A_LINE = 5.0
READ = 4096
COUNT = 20_000
ROUNDS = 9

CHANNELS = tuple(
    Channel(index=index, kind=Kind.FLOAT, name=name)
    for index, name in enumerate(("temperature", "humidity", "pressure"))
)


def best(work: Callable[[], object], count: int) -> float:
    """Seconds for one of `count` things that the work does."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken) / count


def reports() -> bytes:
    """A stream of reports with three floats each, as a small weather station sends them."""
    frames = []
    for number in range(COUNT):
        values = (20 + number % 50 / 10, 40 + number % 30 / 10, 1013.2)
        data = b"".join(struct.pack("<Bf", index, value) for index, value in enumerate(values))
        report = Report(seq=number & 0xFFFF, millis=number * 10, data=data)
        frames.append(encode_frame(write_message(report)))
    return b"".join(frames)


def pieces(stream: bytes) -> list[bytes]:
    """The stream as a port gives it."""
    return [stream[start : start + READ] for start in range(0, len(stream), READ)]


def session() -> FrameSession:
    """A session whose board is described."""
    bodies = [write_message(each) for each in CHANNELS]
    made = FrameSession()
    made.open(0.0)
    hello = Hello(
        boot=1,
        rx=60,
        schema=schema_of(bodies),
        channels=len(bodies),
        commands=0,
        millis=0,
        id="bench",
        name="bench",
        version="1",
    )
    for body in (write_message(hello), *bodies):
        made.receive(encode_frame(body), 0.0)
    return made


def split(reads: list[bytes]) -> None:
    """The splitter alone, with COBS and the check."""
    splitter = Splitter()
    found = sum(isinstance(piece, Frame) for read in reads for piece in splitter.feed(read))
    if found != COUNT:
        raise SystemExit(f"{found} of {COUNT} frames")


def receive(reads: list[bytes]) -> None:
    """All of level 1."""
    made = session()
    events = sum(len(made.receive(read, 0.0)) for read in reads)
    if events != COUNT:
        raise SystemExit(f"{events} of {COUNT} reports")


def receive_lines(reads: list[bytes]) -> None:
    """All of level 0."""
    made = TextSession()
    made.open(0.0)
    events = sum(len(made.receive(read, 0.0)) for read in reads)
    if events != COUNT:
        raise SystemExit(f"{events} of {COUNT} lines")


def main() -> int:
    """Measures, prints, and says whether it holds."""
    stream = reports()
    reads = pieces(stream)
    line = b"temperature=21.5 humidity=40\r"
    lines = pieces((line + b"\n") * COUNT)
    decoded, whole = best(lambda: split(reads), COUNT), best(lambda: receive(reads), COUNT)
    parsed = best(lambda: [parse_line(line) for _ in range(COUNT)], COUNT)
    taken = best(lambda: receive_lines(lines), COUNT)
    print(f"frames of {len(stream) // COUNT} bytes with 3 values; best of {ROUNDS} rounds of {COUNT}")
    print(f"splitter, COBS, check:    {1 / decoded:>10,.0f} a second")
    print(f"all of level 1:           {1 / whole:>10,.0f} a second")
    print(f"a text line, parsed:      {parsed * 1e6:>10.2f} µs")
    print(f"all of level 0, a line:   {taken * 1e6:>10.2f} µs")
    holds = 1 / whole >= FRAMES_A_SECOND and parsed * 1e6 <= MICROSECONDS_A_LINE
    print(
        f"at least {FRAMES_A_SECOND:,} frames a second and at most {MICROSECONDS_A_LINE:g} µs a line: {holds}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
