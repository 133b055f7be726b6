"""A board's reports and events: decoded, counted, held while in doubt what they mean. No I/O."""

import struct
from collections import deque
from collections.abc import Callable

from firmware_bridge.boardclock import BoardClock
from firmware_bridge.description import Decoder, Description
from firmware_bridge.events import Counts, Damaged, Dropped, Gap, Happened, Sampled, SessionEvent
from firmware_bridge.messages import Event, Type, parse_message
from firmware_bridge.sequence import BACK, REPEATED, Sequence
from iotxmpp.errors import InvalidError

MOST_HELD = 64
"""Reports that are held until the board is described."""

_COUNTED = struct.Struct("<HI")
_REPORT = int(Type.REPORT)


class Reports:
    """Reads the reports of one board.

    Args:
        clock: The board's clock.
        counts: Counts what was lost.
        wall: Gives seconds since 1970.

    Attributes:
        unsure: Whether the board must first say again who it is.
    """

    def __init__(self, clock: BoardClock, counts: Counts, wall: Callable[[], float]) -> None:
        self._clock = clock
        self._counts = counts
        self._wall = wall
        self._decoder: Decoder | None = None
        self._sequence = Sequence()
        self._held: deque[tuple[bytes, float]] = deque()
        self._repeat: tuple[bytes, float] | None = None
        self.unsure = False

    def describe(self, description: Description | None) -> None:
        """Reads by this description; None holds what comes until there is one."""
        self._decoder = None if description is None else Decoder(description)

    def begin(self) -> None:
        """The board started: the next report is its first."""
        self._sequence.reset()

    def forget(self) -> None:
        """Gives up what is held."""
        self._counts.early += len(self._held)
        self._held.clear()
        self._repeat = None

    def take(self, body: bytes, now: float) -> list[SessionEvent]:
        """What a REPORT or an EVENT tells; nothing while it is held.

        Raises:
            InvalidError: It breaks its rules, or does not fit the description.
        """
        if len(body) < 1 + _COUNTED.size:
            raise InvalidError(f"message 0x{body[0]:02X}: {len(body)} bytes end inside a field")
        decoder = self._decoder
        if decoder is None or self.unsure:
            self._hold(body, now)
            return []
        seq, millis = _COUNTED.unpack_from(body, 1)
        missing = self._sequence.follow(seq, millis)
        if missing == REPEATED:
            self._counts.repeated += 1
            self._repeat = (body, now)
            return []
        if missing == BACK:
            self._doubt(body, now, seq)
            return []
        self._repeat = None
        return self._told(decoder, body, now, missing)

    def _told(self, decoder: Decoder, body: bytes, now: float, missing: int) -> list[SessionEvent]:
        millis = _COUNTED.unpack_from(body, 1)[1]
        events: list[SessionEvent] = []
        if missing:
            self._counts.gaps += missing
            events.append(Gap(missing=missing))
        at = self._wall() - now + self._clock.time_of(millis, now)
        try:
            events += _report(decoder, body, at, self._counts) if body[0] == _REPORT else _event(body, at)
        except InvalidError as error:
            if body[0] == _REPORT:
                self.unsure = True
            if not events:
                raise
            self._counts.damaged += 1
            events.append(Damaged(count=1, size=len(body), why=str(error)))
        return events

    def release(self) -> list[SessionEvent]:
        """What was held tells, now that it is clear what it means."""
        decoder = self._decoder
        if decoder is None:
            return []
        held, self._held = self._held, deque()
        events: list[SessionEvent] = []
        for body, at in held:
            if self.unsure:
                self._hold(body, at)
                continue
            missing = self._sequence.follow_same_start(*_COUNTED.unpack_from(body, 1))
            if missing == REPEATED:
                self._counts.repeated += 1
                continue
            try:
                events += self._told(decoder, body, at, missing)
            except InvalidError as error:
                self._counts.damaged += 1
                events.append(Damaged(count=1, size=len(body), why=str(error)))
        return events

    def _doubt(self, body: bytes, now: float, seq: int) -> None:
        """The board may have started again; then the repeat that this one goes on from was none."""
        self.unsure = True
        repeat, self._repeat = self._repeat, None
        if repeat is not None and (_COUNTED.unpack_from(repeat[0], 1)[0] + 1) & 0xFFFF == seq:
            self._counts.repeated -= 1
            self._hold(*repeat)
        self._hold(body, now)

    def _hold(self, body: bytes, now: float) -> None:
        if len(self._held) >= MOST_HELD:
            self._counts.early += 1
        else:
            self._held.append((body, now))


def _report(decoder: Decoder, body: bytes, at: float, counts: Counts) -> list[SessionEvent]:
    values, dropped = decoder.decode(body[7:])
    events: list[SessionEvent] = []
    if values:
        events.append(Sampled(values=values, at=at))
    if dropped:
        counts.dropped += len(dropped)
        events.append(Dropped(channels=tuple(dropped)))
    return events


def _event(body: bytes, at: float) -> list[SessionEvent]:
    event = parse_message(body)
    if not isinstance(event, Event):
        raise InvalidError(f"message 0x{body[0]:02X}: it is no event")
    return [Happened(name=event.name, text=event.text, at=at)]
