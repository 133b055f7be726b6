"""A board's clock, told from its answers: which time of the host is a number of its milliseconds. No I/O."""

from collections import deque
from dataclasses import dataclass

from firmware_bridge.messages import Sync, Synced, write_message

WRAP = 1 << 32
"""Milliseconds after which a board's counter begins anew: 49.7 days."""

DRIFT = 0.005
"""How wrong a board's clock may go: a ceramic resonator, as an Uno has, is within 0.5 %."""

SYNC_EVERY = 10.0
"""Seconds between two synchronisations; also how soon a silent board is asked whether it is there."""

_SAMPLES = 8
_FIRST_SYNCS = 3


@dataclass(frozen=True, slots=True)
class _Sample:
    millis: int
    at: float
    doubt: float


class BoardClock:
    """Maps a board's milliseconds to the host's clock, by the answer that is least in doubt.

    An answer's doubt is half its round trip, and grows with its age by what clocks drift. So a quick answer
    stays in use until newer ones are better. Times are told near the newest answer, so that the counter's
    wrap does not matter.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._sent: dict[int, float] = {}
        self._token = 0
        self._first = _FIRST_SYNCS
        self.due = 0.0

    def reset(self, now: float) -> None:
        """Forgets all, for a board that started again; the time is due to be asked for."""
        self._samples.clear()
        self._sent.clear()
        self._first = _FIRST_SYNCS
        self.due = now

    def ask(self, now: float, unix: float) -> bytes:
        """The body that asks for the board's counter; its token tells later which sending was answered."""
        self._token = (self._token + 1) & 0xFF
        self._sent[self._token] = now
        seconds, part = divmod(max(0.0, unix), 1.0)
        return write_message(Sync(token=self._token, unix=int(seconds) & 0xFFFFFFFF, ms=int(part * 1000)))

    def answered(self, synced: Synced, now: float) -> bool:
        """Takes an answer; whether it answers what was asked."""
        sent = self._sent.get(synced.token)
        if sent is None:
            return False
        self._sent.clear()
        self.learn(synced.millis, sent, now)
        self._first = max(0, self._first - 1)
        self.due = now if self._first else now + SYNC_EVERY
        return True

    def learn(self, millis: int, sent: float, received: float) -> None:
        """Takes an answer: the board's counter, and when it was asked and answered."""
        round_trip = max(0.0, received - sent)
        self._samples.append(_Sample(millis, received - round_trip / 2, round_trip / 2))

    def time_of(self, millis: int, now: float) -> float:
        """The host's time of a counter; `now` while nothing is known, and never later than it."""
        if not self._samples:
            return now
        best = min(self._samples, key=lambda each: each.doubt + (now - each.at) * DRIFT)
        # The nearest of all times with this counter, half of its wrap before or after.
        apart = (millis - best.millis + WRAP // 2) % WRAP - WRAP // 2
        return min(now, best.at + apart / 1000)
