"""Tells live readings from late ones."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from iotxmpp.controller.clockerror import ClockError
from iotxmpp.controller.columns import Columns, clock_of, epoch_of
from iotxmpp.readings import Reading

GRACE = 60.0
"""Seconds, besides the device's heartbeat, after which a reading that comes is late."""

MOST_CHANNELS = 1000
"""Channels of one device whose newest reading is remembered."""

MOST_CLOCKS = 16
"""Epochs of one device whose clock's error is remembered."""


_Mark = tuple[str, int, float]
"""Epoch, number and time of the newest reading of a channel so far. One is made for each sample of it, and a
plain tuple costs a fifth of any other."""


class Lateness:
    """Marks the readings of one device as live or historical, in the order in which they come.

    A reading is late if it is older than the newest one of its channel, or was old when it came. Within an
    epoch the number says which of two is older, so that a clock that is set back does not make each new
    reading a late one; between epochs it is the time, where one from the future counts as made when it came.
    The age of a reading is that by the device's clock; by one that is not synchronised, less the clock's
    error (`ClockError`).
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, _Mark] = OrderedDict()
        self._errors: OrderedDict[str, ClockError] = OrderedDict()

    def start_from(self, readings: Iterable[Reading]) -> None:
        """Takes what was live before, such as from the store."""
        for reading in readings:
            came = reading.time if reading.received is None else reading.received
            self._newest.setdefault(reading.channel, _mark(reading, came))

    def mark(self, readings: Sequence[Reading], received: float, *, heartbeat: float) -> Sequence[Reading]:
        """The readings of one item with `received` and `historical` filled in.

        Args:
            readings: The readings, of one epoch.
            received: When they came, by our clock, in seconds since 1970.
            heartbeat: The device's promised longest silence, in seconds.
        """
        oldest = received - GRACE - heartbeat
        error = self._error(readings, received)
        if isinstance(readings, Columns):
            historical = self._all_late(readings, received, oldest, error)
            if historical is not None:
                return readings.at(received, historical=historical)
        return tuple(
            replace(
                reading,
                received=received,
                historical=self._late(reading, received, oldest - (error.of(reading) if error else 0.0)),
            )
            for reading in readings
        )

    def _all_late(
        self, readings: Columns, received: float, oldest: float, error: ClockError | None
    ) -> bool | None:
        """Whether all are late, or none is; None where they are to be looked at one by one."""
        if error is not None:
            behind = error.throughout(readings.first, readings.first + len(readings) - 1)
            if behind is None:
                return None
            oldest -= behind
        if readings.latest < oldest:
            return True
        if readings.earliest < oldest:
            return None
        last, epoch, first = readings.last_of_each(), readings.epoch, readings.first
        for place in last:
            newest = self._newest.get(place.channel)
            if newest is None or newest[0] != epoch or newest[1] > first:
                return None
        for place, index in last.items():
            time = readings.times[index]
            self._newest[place.channel] = epoch, first + index, time if time < received else received  # noqa: FURB136  # `min` costs as much as all the rest
        return False

    def _late(self, reading: Reading, received: float, oldest: float) -> bool:
        newest = self._newest.get(reading.channel)
        if reading.time < oldest or (newest is not None and _older(reading, newest)):
            return True
        if newest is None and len(self._newest) >= MOST_CHANNELS:
            self._newest.popitem(last=False)
        self._newest[reading.channel] = _mark(reading, received)
        return False

    def _error(self, readings: Sequence[Reading], received: float) -> ClockError | None:
        """The error of the epoch's clock; None where the readings' times need no correction."""
        if not readings or clock_of(readings) == "r":
            return None
        epoch = epoch_of(readings)
        error = self._errors.get(epoch)
        if error is None:
            error = self._errors[epoch] = ClockError()
        self._errors.move_to_end(epoch)
        if len(self._errors) > MOST_CLOCKS:
            self._errors.popitem(last=False)
        error.see(readings, received)
        return error if clock_of(readings) == "u" else None


def _mark(reading: Reading, received: float) -> _Mark:
    return reading.epoch, reading.seq, min(reading.time, received)


def _older(reading: Reading, newest: _Mark) -> bool:
    epoch, seq, time = newest
    return reading.seq < seq if reading.epoch == epoch else reading.time < time
