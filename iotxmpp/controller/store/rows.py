"""Readings as rows of the store, and back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, count, repeat
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.columns import Columns, Place
from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.schema import readings
from iotxmpp.readings import Reading, Value

_EXACT = 2**53
"""Beyond this, a floating-point number does not hold every integer."""


Row = tuple[int, int, int, float, str, float | None, str | None, float, bool, str]
"""A row of readings, in the order of the table's columns."""

Name = tuple[str, str]
"""A channel's name and unit; empty for none."""

_kind: Callable[[Place], str] = attrgetter("kind")
_COLUMNS = ", ".join(readings.c.keys())
_PLACES = f"({', '.join('?' * len(readings.c))})"
_TYPES = ("int", "bigint", "int", "float8", "text", "float8", "text", "float8", "boolean", "text")
_ARRAYS = ", ".join(f"?::{kind}[]" for kind in _TYPES)
# SQLAlchemy's own inserts of many rows cost twice as much, and on PostgreSQL a message a row.
_SQLITE = f"INSERT INTO {readings.name} ({_COLUMNS}) VALUES {_PLACES}"  # noqa: S608  # our own names
# An old SQLite takes 999 values a statement; the fewer there are, the less a busy loop holds them up.
_SQLITE_MANY = {size: _SQLITE + f", {_PLACES}" * (size - 1) for size in (90, 50, 10)}
_POSTGRESQL = f"INSERT INTO {readings.name} ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608  # likewise


def names_of(readings: Sequence[Reading]) -> set[Name]:
    """The channels of readings."""
    if isinstance(readings, Columns):
        return {(place.channel, place.unit or "") for place in set(readings.places)}
    return {(reading.channel, reading.unit or "") for reading in readings}


def rows_of(
    readings: Sequence[Reading], received: float, epoch_id: int, channel_ids: Mapping[Name, int]
) -> Iterable[Row]:
    """The rows of an item's readings.

    Args:
        readings: The readings.
        received: When the item came.
        epoch_id: The id of their epoch.
        channel_ids: The ids of their channels.
    """
    if isinstance(readings, Columns):
        return _rows_of_columns(readings, received, epoch_id, channel_ids)
    return (
        (
            epoch_id,
            reading.seq,
            channel_ids[reading.channel, reading.unit or ""],
            float(reading.time),
            *_columns(reading.value),
            received,
            reading.historical,
            reading.clock,
        )
        for reading in readings
    )


def insert(direct: Direct, rows: Sequence[Row]) -> None:
    """Inserts many rows at once."""
    if not rows:
        return
    if direct.sqlite:
        _insert_into_sqlite(direct, rows)
    else:
        direct.execute(_POSTGRESQL, tuple(list(column) for column in zip(*rows, strict=True)))


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


def _insert_into_sqlite(direct: Direct, rows: Sequence[Row]) -> None:
    """Many rows a statement: the driver lets go of the interpreter at each, and waits to have it back."""
    done = 0
    for size, statement in _SQLITE_MANY.items():
        while len(rows) - done >= size:
            chunk = rows[done : done + size]
            direct.execute(statement, tuple(chain.from_iterable(chunk)))
            done += size
    if done < len(rows):
        direct.execute_many(_SQLITE, rows[done:])


def _rows_of_columns(
    readings: Columns, received: float, epoch_id: int, channel_ids: Mapping[Name, int]
) -> Iterable[Row]:
    ids = {place: channel_ids[place.channel, place.unit or ""] for place in set(readings.places)}
    numbers: Iterable[float | None] = map(float, readings.values)
    texts: Iterable[str | None] = repeat(None)
    if readings.texts:
        numbers = [None if isinstance(each, str) else float(each) for each in readings.values]
        texts = [each if isinstance(each, str) else None for each in readings.values]
    return zip(
        repeat(epoch_id),
        count(readings.first),
        map(ids.__getitem__, readings.places),
        map(float, readings.times),
        map(_kind, readings.places),
        numbers,
        texts,
        repeat(received),
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
