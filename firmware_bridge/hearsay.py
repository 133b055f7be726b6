"""What bytes from a port are worth: lines, frames, a sensor's own frames, or noise. No I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from firmware_bridge.frames import Damage, Frame, Splitter
from firmware_bridge.lines import Event, Identity, Ignored, Values, has_check, parse_line
from firmware_bridge.message_types import Type
from firmware_bridge.pms5003 import Pms5003Stream
from iotxmpp.errors import InvalidError

SURE_RUN = 2
"""Good lines without damage between them at which a speed is surely right."""

SURE_READINGS = 3
"""Readings of one name at which it is, whatever stands between: a sketch may print good and bad in turns."""

MOST_NAMES = 512
"""Names that are counted: a broken sketch may print another name in each line."""

_SURE_PIECE = 6
_PIECE = 3
_TALK = 1
_SHOWN = 60
_SOME = 4
_TEXT_SHARE = 0.9
_LEGIBLE_SHARE = 0.5
_PRINTED = frozenset((*range(0x20, 0x7F), *b"\t\r\n"))
_BEYOND_ASCII = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_TYPES = frozenset(int(each) for each in Type)


@dataclass(kw_only=True)
class Hearsay:
    """Judges what a port gives at one speed.

    Attributes:
        size: Bytes so far.
        points: What speaks for this speed; a damaged piece takes some away.
        run: Good lines since the last damage.
        damaged: Damaged pieces since the port was opened last.
        foreign: Lines of text in a form that is not understood.
        vouched: Whether a hello came, or a line or frame whose check fits: noise makes none of them.
        air: Frames of a PMS5003.
        sample: The first bytes.
        readings: How many lines gave a reading, by its name.
        why: The newest line of text that is not understood, and why; empty for none.
        dropped: What came last instead of a finite number, by its name, such as `nan`.
    """

    size: int = 0
    points: int = 0
    run: int = 0
    damaged: int = 0
    foreign: int = 0
    vouched: bool = False
    air: int = 0
    sample: bytes = b""
    readings: dict[str, int] = field(default_factory=dict)
    why: str = ""
    dropped: dict[str, str] = field(default_factory=dict)
    _splitter: Splitter = field(default_factory=Splitter)
    _stream: Pms5003Stream = field(default_factory=Pms5003Stream)
    _first: bool = True
    _came: int = 0
    _printed: int = 0
    _printed_in_all: int = 0

    @property
    def is_sure(self) -> bool:
        """Whether this speed is surely right."""
        return self.vouched or self.run >= SURE_RUN or self.air > 1 or self._legible_readings >= SURE_READINGS

    @property
    def is_good(self) -> bool:
        """Whether this speed is better than going on: something well-formed came, and no garbage."""
        return self.is_sure or self.air > 0 or (self.run > 0 and not self.damaged)

    @property
    def is_text(self) -> bool:
        """Whether what came since the port was opened last looks like text, though it is not understood."""
        return self._came >= _SOME and self._printed >= self._came * _TEXT_SHARE

    @property
    def is_legible(self) -> bool:
        """Whether all that came looks like text, over all openings: the last one may have given nothing."""
        return self.size >= _SOME and self._printed_in_all >= self.size * _TEXT_SHARE

    @property
    def reason(self) -> str:
        """Why the newest line of text is not understood; of noise, where lines of a letter come, nothing."""
        return self.why if self._printed_in_all >= self.size * _LEGIBLE_SHARE else ""

    @property
    def is_garbage(self) -> bool:
        """Whether what came since the port was opened last looks like another speed's."""
        return self._came >= _SOME and not self.is_text and not self.is_good

    @property
    def is_pms5003(self) -> bool:
        """Whether a PMS5003 speaks."""
        return self.air > 0 and self.air * _SURE_PIECE > self.points

    @property
    def worth(self) -> int:
        """What speaks for this speed, all in all."""
        return max(self.points, self.air * _SURE_PIECE, self._legible_readings)

    @property
    def _legible_readings(self) -> int:
        """How often the commonest reading came, at what is for the most part text; else 0.

        At a wrong speed a name, `=` and a value hardly ever fill a line, and most bytes are no text.
        """
        if self._came < _SOME or self._printed < self._came * _LEGIBLE_SHARE:
            return 0
        return max(self.readings.values(), default=0)

    def open(self) -> None:
        """The port is opened anew: what comes first may be the end of a line."""
        self._splitter, self._stream, self._first = Splitter(), Pms5003Stream(), True
        self._came = self._printed = self.damaged = 0

    def take(self, data: bytes) -> None:
        """Takes what came."""
        self.size += len(data)
        self._came += len(data)
        printed = _legible(data)
        self._printed += printed
        self._printed_in_all += printed
        self.sample = (self.sample + data)[:_SHOWN]
        self.air += len(self._stream.feed(data))
        for piece in self._splitter.feed(data):
            first, self._first = self._first, False
            dropped: dict[str, str] = {}
            worth, why, names = _worth(piece, dropped)
            self.why = why or self.why
            self._count(names)
            self._drop(dropped)
            if worth > 0 or not first:  # the first may be the end of a line
                self.points += worth
                self._note(worth)

    def _note(self, worth: int) -> None:
        if worth >= _SURE_PIECE:
            self.vouched = True
        elif worth >= _PIECE:
            self.run += 1
        elif worth <= -_PIECE:
            self.damaged += 1
            self.run = 0
        elif worth < 0:
            self.foreign += 1

    def _count(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.readings or len(self.readings) < MOST_NAMES:
                self.readings[name] = self.readings.get(name, 0) + 1

    def _drop(self, dropped: Mapping[str, str]) -> None:
        for name, came in dropped.items():
            if name in self.dropped or len(self.dropped) < MOST_NAMES:
                self.dropped[name] = came


def _worth(piece: Frame | bytes | Damage, dropped: dict[str, str]) -> tuple[int, str, Iterable[str]]:
    """What a piece is worth; of a line of text that is not understood, why; and whose readings it gives.

    Args:
        piece: The piece.
        dropped: Takes what came instead of a finite number.
    """
    if isinstance(piece, Damage):
        return -_PIECE, "", ()
    if isinstance(piece, Frame):
        return (_SURE_PIECE if piece.body[0] in _TYPES else _PIECE), "", ()
    try:
        line = parse_line(piece, dropped=dropped)
    except InvalidError as error:
        dropped.clear()
        return (-_TALK, str(error), ()) if _is_text(piece) else (-_PIECE, "", ())
    names = line.values.keys() if isinstance(line, Values) else ()
    if has_check(piece) or isinstance(line, Identity):
        return _SURE_PIECE, "", names
    if isinstance(line, Values | Event):
        return _PIECE, "", names
    return (0 if isinstance(line, Ignored) else _TALK), "", names


def _legible(data: bytes) -> int:
    """How many bytes look like text: ASCII, and what is UTF-8, as `°` is."""
    return sum(byte in _PRINTED for byte in data) + sum(map(len, _BEYOND_ASCII.findall(data)))


def _is_text(line: bytes) -> bool:
    """Whether it is text of another form, as `Temp: 21.5 C` is."""
    try:
        return line.decode().strip("\r\n").replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False
