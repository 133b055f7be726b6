"""Readings as rows of the store, and back."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, repeat
from operator import attrgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from iotxmpp.controller.columns import Columns, Place
from iotxmpp.readings import Reading, Value

_EXACT = 2**53
"""Beyond this, a floating-point number does not hold every integer."""


Row = tuple[int, int, int, float, str, float | None, str | None, float, bool, str]
"""A row of readings, in the order of the table's columns."""

Name = tuple[str, str]
"""A channel's name and unit; empty for none."""


class Pack(NamedTuple):
    """An item's readings on their way into the table.

    Attributes:
        readings: The readings.
        received: When the item came.
        epoch_id: The id of their epoch.
        channel_ids: The ids of their channels.
    """

    readings: Sequence[Reading]
    received: float
    epoch_id: int
    channel_ids: Mapping[Name, int]


def names_of(readings: Sequence[Reading]) -> set[Name]:
    """The channels of readings."""
    if isinstance(readings, Columns):
        return {(place.channel, place.unit or "") for place in set(readings.places)}
    return {(reading.channel, reading.unit or "") for reading in readings}


def rows_of(pack: Pack) -> Iterable[Row]:
    """The rows of a pack."""
    if isinstance(pack.readings, Columns):
        return _rows_of_columns(pack, pack.readings)
    return (
        (
            pack.epoch_id,
            reading.seq,
            pack.channel_ids[reading.channel, reading.unit or ""],
            float(reading.time),
            *_columns(reading.value),
            pack.received,
            reading.historical,
            reading.clock,
        )
        for reading in pack.readings
    )


def ids_of(pack: Pack, places: Sequence[Place]) -> Iterator[int]:
    """The id of each channel of a pack's columns."""
    ids = {place: pack.channel_ids[place.channel, place.unit or ""] for place in set(places)}
    return map(ids.__getitem__, places)


def kinds_of(places: Sequence[Place]) -> Iterator[str]:
    """The kind of each channel's values."""
    return map(_kind, places)


def value_of(kind: str, number: float | None, text: str | None) -> Value:
    """The value that these columns hold."""
    if kind == "s":
        return text or ""
    if kind == "b":
        return bool(number)
    if kind == "i":
        return int(text) if text is not None else int(number or 0)
    return float(number or 0)


def reading_of(row: sa.Row[Any]) -> Reading:
    """The reading of a row: the table's columns, the epoch's `epoch`, the channel's `name` and `unit`."""
    return Reading(
        channel=row.name,
        value=value_of(row.kind, row.number, row.text),
        unit=row.unit or None,
        time=row.time,
        epoch=row.epoch,
        seq=row.seq,
        clock=row.clock,
        received=row.received,
        historical=row.historical,
    )


def _rows_of_columns(pack: Pack, readings: Columns) -> Iterable[Row]:
    numbers: Iterable[float | None] = map(float, readings.values)
    texts: Iterable[str | None] = repeat(None)
    if readings.texts:
        numbers = [None if isinstance(each, str) else float(each) for each in readings.values]
        texts = [each if isinstance(each, str) else None for each in readings.values]
    return zip(
        repeat(pack.epoch_id),
        count(readings.first),
        ids_of(pack, readings.places),
        map(float, readings.times),
        kinds_of(readings.places),
        numbers,
        texts,
        repeat(pack.received),
        repeat(readings.historical),
        repeat(readings.clock),
        strict=False,  # some of them do not end
    )


def _columns(value: Value) -> tuple[str, float | None, str | None]:
    if isinstance(value, str):
        return "s", None, value
    if isinstance(value, bool):
        return "b", float(value), None
    if isinstance(value, int):
        return "i", float(value), None if -_EXACT <= value <= _EXACT else str(value)
    return "f", value, None


_kind: Callable[[Place], str] = attrgetter("kind")
