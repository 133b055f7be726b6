"""Readings as rows of the store, and back."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.store.batch import Arrival
from iotxmpp.controller.store.schema import readings
from iotxmpp.readings import Reading, Value

_EXACT = 2**53
"""Beyond this, a floating-point number does not hold every integer."""


Row = tuple[int, int, int, float, str, float | None, str | None, float, bool, str]
"""A row of readings, in the order of the table's columns."""

_COLUMNS = ", ".join(readings.c.keys())
_PLACES = ", ".join("?" * len(readings.c))
_TYPES = ("int", "bigint", "int", "float8", "text", "float8", "text", "float8", "boolean", "text")
_ARRAYS = ", ".join(f"%s::{kind}[]" for kind in _TYPES)
# SQLAlchemy's own inserts of many rows cost twice as much, and on PostgreSQL a message a row.
_SQLITE = f"INSERT INTO {readings.name} ({_COLUMNS}) VALUES ({_PLACES})"  # noqa: S608  # our own names
_POSTGRESQL = f"INSERT INTO {readings.name} ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608  # likewise


def row_of(reading: Reading, arrival: Arrival, epoch_id: int, channel_id: int) -> Row:
    """The row of a reading."""
    return (
        epoch_id,
        reading.seq,
        channel_id,
        reading.time,
        *_columns(reading.value),
        arrival.received,
        reading.historical,
        reading.clock,
    )


def insert(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Inserts many rows at once."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_SQLITE, list(rows))
    else:
        connection.exec_driver_sql(_POSTGRESQL, tuple(list(column) for column in zip(*rows, strict=True)))


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


def _columns(value: Value) -> tuple[str, float | None, str | None]:
    if isinstance(value, str):
        return "s", None, value
    if isinstance(value, bool):
        return "b", float(value), None
    if isinstance(value, int):
        return "i", float(value), None if -_EXACT <= value <= _EXACT else str(value)
    return "f", value, None
