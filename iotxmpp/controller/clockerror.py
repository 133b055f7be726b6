"""How far the clock of one run of a device is behind ours, also after somebody set it."""

from collections.abc import Sequence
from itertools import accumulate
from math import inf

from iotxmpp.controller.columns import Columns
from iotxmpp.readings import Reading

SET_BACK = 60.0
"""Seconds by which a later number's time is earlier, from which on the clock was set back."""

STEADY_FOR = 60.0
"""Seconds for which readings come equally old until that age counts as the clock's error."""

STEADY = 10.0
"""Seconds by which such ages may differ."""


class ClockError:
    """Follows the error of one epoch's clock, in seconds that it is behind ours; below 0 if it is ahead.

    It is the age of the freshest reading, until the clock is seen to be set. Only numbers above all earlier
    ones tell of that, so a backlog that follows live readings changes nothing. In one that comes in order,
    times rise with numbers and ages fall. Where a time falls by more than `SET_BACK` while the number rises,
    the clock was set back: by no less than the times differ, and the error grows by that only, so that
    readings which waited stay old. What is left, such as the time between two rare readings, shows in ages
    that stay the same for `STEADY_FOR`.
    """

    def __init__(self) -> None:
        self._seq = 0
        self._newest = -inf
        self._error = self._before = inf
        self._since = 0
        self._steady_since, self._steady_age = inf, inf

    def see(self, readings: Sequence[Reading], received: float) -> None:
        """Takes the readings of one item in their order, and when they came by our clock."""
        if isinstance(readings, Columns) and self._is_plain(readings):
            self._follow_plain(readings, received)
        else:
            for reading in readings:
                if reading.seq > self._seq:
                    self._follow(reading.seq, reading.time, received)
        self._error = min(self._error, received - self._newest)

    def of(self, reading: Reading) -> float:
        """The error when a reading was made; one from before the clock was set last has the error of then."""
        return self._error if reading.seq >= self._since else self._before

    def throughout(self, first: int, last: int) -> float | None:
        """The error when all the readings of these numbers were made; None where it changed among them."""
        if first >= self._since:
            return self._error
        return self._before if last < self._since else None

    def _is_plain(self, readings: Columns) -> bool:
        """Whether all these are new, and none but perhaps the first says that the clock was set back."""
        span = max(self._newest, readings.latest) - readings.earliest
        return readings.first > self._seq and (
            span <= SET_BACK or list(readings.times) == sorted(readings.times)
        )

    def _follow_plain(self, readings: Columns, received: float) -> None:
        """Follows them all at once: after the first one ages only fall, so none sets the clock."""
        self._follow(readings.first, readings.times[0], received)
        newest = max(self._newest, readings.latest)
        if abs(received - newest - self._steady_age) > STEADY:
            for time in accumulate(readings.times, max, initial=self._newest):
                age = received - time
                if abs(age - self._steady_age) > STEADY:
                    self._steady_since, self._steady_age = received, age
        self._seq = readings.first + len(readings) - 1
        self._newest = newest

    def _follow(self, seq: int, time: float, received: float) -> None:
        self._seq = seq
        fell = self._newest - time
        if fell > SET_BACK:
            self._error = min(self._error, received - self._newest)
            self._set(self._error + fell, seq)
            self._newest = time
        self._newest = max(self._newest, time)
        self._look_whether_steady(seq, received)

    def _look_whether_steady(self, seq: int, received: float) -> None:
        age = received - self._newest
        if abs(age - self._steady_age) > STEADY or received < self._steady_since:
            self._steady_since, self._steady_age = received, age
        elif received - self._steady_since >= STEADY_FOR and age > self._error + STEADY:
            self._set(age, seq)

    def _set(self, error: float, seq: int) -> None:
        self._before, self._error, self._since = self._error, error, seq
