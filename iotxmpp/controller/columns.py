"""Readings of one item, column by column; each becomes a `Reading` only when somebody looks at it.

A reading costs as much to make as all of its checks, and most are looked at by nobody but the store.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import count
from operator import attrgetter, eq
from typing import Any, Literal, overload

from iotxmpp.readings import ClockQuality, Reading, Value

Kind = Literal["f", "i", "b", "s"]
"""What a channel's values are: float, int, bool, or text."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """A channel of one device, as it was described; compared by identity, which costs least.

    Attributes:
        channel: Its name.
        unit: Its unit; None for none.
        kind: What its values are.
    """

    channel: str
    unit: str | None
    kind: Kind


@dataclass(kw_only=True, slots=True, eq=False)
class Columns(Sequence[Reading]):
    """Accepted readings of one epoch, whose numbers follow one another without a hole.

    Nobody changes one. It is not frozen, as two are made for each pack, and to set frozen fields takes four
    times as long.

    Attributes:
        places: The channel of each.
        values: The value of each, in the type that its channel has.
        times: The time of each, in seconds since 1970.
        earliest: The least of these times.
        latest: The greatest.
        texts: Whether any value is text.
        epoch: Their epoch.
        first: The number of the first.
        clock: How far their times can be trusted.
        received: When they came, by our clock, in seconds since 1970; None while nobody said.
        historical: They came late, all of them.
    """

    places: Sequence[Place]
    values: Sequence[Value]
    times: Sequence[float]
    earliest: float
    latest: float
    texts: bool
    epoch: str
    first: int
    clock: ClockQuality
    received: float | None = None
    historical: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> Reading: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Reading, ...]: ...

    def __getitem__(self, index: int | slice) -> Reading | tuple[Reading, ...]:
        if isinstance(index, slice):
            return tuple(self._reading(each) for each in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._reading(index % len(self))

    def __iter__(self) -> Iterator[Reading]:
        return map(self._reading, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | Columns):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def at(self, received: float, *, historical: bool) -> "Columns":
        """The same, with when they came and whether that was late."""
        return Columns(
            places=self.places,
            values=self.values,
            times=self.times,
            earliest=self.earliest,
            latest=self.latest,
            texts=self.texts,
            epoch=self.epoch,
            first=self.first,
            clock=self.clock,
            received=received,
            historical=historical,
        )

    def last_of_each(self) -> dict[Place, int]:
        """Of each channel, which of them is its last one; in the order in which the channels come first."""
        if len(set(self.places)) == 1:  # as in most packs: a fifth of the work
            return {self.places[0]: len(self.places) - 1}
        return dict(zip(self.places, count(), strict=False))

    def at_places(self, indices: Iterable[int]) -> list[Reading]:
        """Some of them."""
        return list(map(self._reading, indices))

    def of(self, channels: frozenset[str]) -> tuple[Reading, ...]:
        """Those of some channels."""
        return tuple(
            self._reading(index) for index, place in enumerate(self.places) if place.channel in channels
        )

    def _reading(self, index: int) -> Reading:
        place = self.places[index]
        reading = _new(Reading)
        # As its own `__init__` does, in a third of the time: its fields are frozen, and so set one by one.
        _set_channel(reading, place.channel)
        _set_value(reading, self.values[index])
        _set_unit(reading, place.unit)
        _set_time(reading, self.times[index])
        _set_epoch(reading, self.epoch)
        _set_seq(reading, self.first + index)
        _set_clock(reading, self.clock)
        _set_received(reading, self.received)
        _set_historical(reading, self.historical)
        return reading


def last_of_each(readings: Sequence[Reading]) -> list[Reading]:
    """The last reading of each channel, in the order in which the channels come first."""
    if isinstance(readings, Columns):
        return readings.at_places(readings.last_of_each().values())
    return list({reading.channel: reading for reading in readings}.values())


def epoch_of(readings: Sequence[Reading]) -> str:
    """The epoch of readings of one epoch, which are some."""
    return readings.epoch if isinstance(readings, Columns) else readings[0].epoch


def clock_of(readings: Sequence[Reading]) -> ClockQuality:
    """The clock of readings of one pack, which are some."""
    return readings.clock if isinstance(readings, Columns) else readings[0].clock


def times_of(readings: Sequence[Reading]) -> Sequence[float]:
    """The time of each."""
    return readings.times if isinstance(readings, Columns) else list(map(_time, readings))


def span_of(readings: Sequence[Reading]) -> tuple[float, float]:
    """The least and the greatest time of readings, which are some."""
    if isinstance(readings, Columns):
        return readings.earliest, readings.latest
    times = times_of(readings)
    return min(times), max(times)


def texts_of(readings: Sequence[Reading]) -> Sequence[str]:
    """The values that are text."""
    if isinstance(readings, Columns) and not readings.texts:
        return ()
    return [each.value for each in readings if isinstance(each.value, str)]


def live_of(readings: Sequence[Reading]) -> Sequence[Reading]:
    """Those that did not come late."""
    if isinstance(readings, Columns):
        return () if readings.historical else readings
    return [reading for reading in readings if not reading.historical]


_time: Any = attrgetter("time")
_new = Reading.__new__
(
    _set_channel,
    _set_value,
    _set_unit,
    _set_time,
    _set_epoch,
    _set_seq,
    _set_clock,
    _set_received,
    _set_historical,
) = (vars(Reading)[field.name].__set__ for field in fields(Reading))
