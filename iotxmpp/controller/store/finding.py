"""Where retention has something to do: found in short looks, each at a bounded number of rows or channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.schema import channels, readings, summaries

CHANNELS = 500
"""Channels of one look."""

T = TypeVar("T")

PLACE = (readings.c.time, readings.c.epoch_id, readings.c.seq)

Place = tuple[float, int, int]
"""Where a reading stands in its channel: time, epoch, number."""


class Kept(NamedTuple):
    """What a sweep had to leave, since it had come too late.

    Attributes:
        upto: Everything from before this time was looked at, in seconds since 1970.
        due: None of that had come before this time: until it is past the limit, none of it can go.
    """

    upto: float
    due: float


@dataclass(slots=True)
class Memory:
    """What sweeps of one store remember, so that the next one need not look at the same rows again.

    What comes after a look came later than all that it saw, so it cannot be due earlier.

    Attributes:
        channels: For channels by id, whose readings were left.
        tables: For tables by name, the earliest moment of the rows that were left.
    """

    channels: dict[int, Kept] = field(default_factory=dict)
    tables: dict[str, float] = field(default_factory=dict)


@contextmanager
def looking(database: Database) -> Iterator[sa.Connection]:
    """A transaction for one look: rows in the order of an index, and no more than are asked for.

    Raises:
        StoreError: It could not be done.
    """
    with database.read() as connection:
        if not database.sqlite:  # without statistics, PostgreSQL would read and sort all that is old
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        yield connection


def spans(database: Database) -> Iterator[tuple[int, int]]:
    """All channels, as the first and last id of some hundred each."""
    last = 0
    while True:
        query = sa.select(channels.c.id).where(channels.c.id > last).order_by(channels.c.id).limit(CHANNELS)
        with looking(database) as connection:
            found = connection.execute(query).scalars().all()
        if not found:
            return
        last = found[-1]
        yield found[0], last


def with_old_readings(database: Database, span: tuple[int, int], before: float) -> list[int]:
    """Those of these channels that have readings from before a time, besides a single live one."""
    first, second, historical = _oldest(readings.c.time), _oldest(readings.c.time, 1), _oldest(_HISTORICAL)
    query = (
        sa.select(channels.c.id)
        .where(channels.c.id.between(*span), first < before, sa.or_(second.is_not(None), historical == 1))
        .order_by(channels.c.id)
    )
    with looking(database) as connection:
        return list(connection.execute(query).scalars())


def with_old_summaries(database: Database, span: tuple[int, int], seconds: int, before: float) -> list[int]:
    """Those of these channels that have such summaries from before a time."""
    first = (
        sa.select(summaries.c.start)
        .where(summaries.c.channel_id == channels.c.id, summaries.c.seconds == seconds)
        .order_by(summaries.c.start)
        .limit(1)
        .correlate(channels)
        .scalar_subquery()
    )
    query = sa.select(channels.c.id).where(channels.c.id.between(*span), first < before)
    with looking(database) as connection:
        return list(connection.execute(query.order_by(channels.c.id)).scalars())


def find_newest(database: Database, channel: int, most: int) -> Iterator[Place | None]:
    """The newest live reading of a channel, the last that is given; None after each look that found none.

    Args:
        database: The database.
        channel: The channel's id.
        most: Rows of one look: a backlog behind it may be long.
    """
    beyond: list[sa.ColumnElement[bool]] = []
    down = [column.desc() for column in PLACE]
    while True:
        query = sa.select(*PLACE, readings.c.historical).where(readings.c.channel_id == channel, *beyond)
        with looking(database) as connection:
            # Nearly always the very last one.
            size = most if beyond else 1
            rows = connection.execute(query.order_by(*down).limit(size)).all()
            live = next((row for row in rows if not row.historical), None)
            if live is not None:
                yield _last_of(connection, channel, live.time)
                return
        yield None
        if len(rows) < size:
            return
        end = rows[-1]
        beyond = [readings.c.time <= end.time, sa.tuple_(*PLACE) < sa.tuple_(*end[:3])]


def _last_of(connection: sa.Connection, channel: int, time: float) -> Place:
    """Of live readings of one time, the one with the highest number."""
    query = (
        sa.select(*PLACE)
        .where(readings.c.channel_id == channel, readings.c.time == time, sa.not_(readings.c.historical))
        .order_by(readings.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one()
    return row.time, row.epoch_id, row.seq


_HISTORICAL: sa.ColumnElement[int] = sa.case((readings.c.historical, 1), else_=0)


def _oldest(column: sa.ColumnElement[T], offset: int = 0) -> sa.ScalarSelect[T]:
    """Of a channel's first reading, or of one that follows it: one seek in the index, whatever there is."""
    return (
        sa.select(column)
        .where(readings.c.channel_id == channels.c.id)
        .order_by(readings.c.time)
        .limit(1)
        .offset(offset)
        .correlate(channels)
        .scalar_subquery()
    )
