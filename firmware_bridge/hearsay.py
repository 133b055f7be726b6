"""What bytes from a port are worth: lines, frames, a sensor's own frames, or noise. No I/O."""

from dataclasses import dataclass, field

from firmware_bridge.frames import Damage, Frame, Splitter
from firmware_bridge.lines import Identity, Ignored, Values, has_check, parse_line
from firmware_bridge.message_types import Type
from firmware_bridge.pms5003 import Pms5003Stream
from iotxmpp.errors import InvalidError

SURE = 12
"""Points at which a speed is surely right."""

_SURE_PIECE = 6
_PIECE = 3
_TALK = 1
_SHOWN = 60
_TYPES = frozenset(int(each) for each in Type)


@dataclass(kw_only=True)
class Hearsay:
    """Judges what a port gives at one speed.

    Attributes:
        size: Bytes so far.
        points: What speaks for this speed; a damaged piece takes some away.
        air: Frames of a PMS5003.
        sample: The first bytes.
    """

    size: int = 0
    points: int = 0
    air: int = 0
    sample: bytes = b""
    _splitter: Splitter = field(default_factory=Splitter)
    _stream: Pms5003Stream = field(default_factory=Pms5003Stream)
    _first: bool = True

    @property
    def is_sure(self) -> bool:
        """Whether this speed is surely right."""
        return self.points >= SURE or self.air > 1

    @property
    def is_pms5003(self) -> bool:
        """Whether a PMS5003 speaks."""
        return self.air > 0 and self.air * _SURE_PIECE > self.points

    @property
    def worth(self) -> int:
        """What speaks for this speed, all in all."""
        return max(self.points, self.air * _SURE_PIECE)

    def take(self, data: bytes) -> None:
        """Takes what came."""
        self.size += len(data)
        self.sample = (self.sample + data)[:_SHOWN]
        self.air += len(self._stream.feed(data))
        for piece in self._splitter.feed(data):
            first, self._first = self._first, False
            worth = _worth(piece)
            if worth > 0 or not first:  # the first may be the end of a line
                self.points += worth


def _worth(piece: Frame | bytes | Damage) -> int:
    if isinstance(piece, Damage):
        return -_PIECE
    if isinstance(piece, Frame):
        return _SURE_PIECE if piece.body[0] in _TYPES else _PIECE
    try:
        line = parse_line(piece, dropped=[])
    except InvalidError:
        return -_TALK if _is_text(piece) else -_PIECE
    if has_check(piece) or isinstance(line, Identity):
        return _SURE_PIECE
    if isinstance(line, Values):
        return _PIECE
    return 0 if isinstance(line, Ignored) else _TALK


def _is_text(line: bytes) -> bool:
    """Whether it is text of another form, as `Temp: 21.5 C` is."""
    try:
        return line.decode().strip("\r\n\t").isprintable()
    except UnicodeDecodeError:
        return False
