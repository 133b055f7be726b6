"""Old readings become summaries: in each transaction rows go, and their summaries come, both or neither."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.schema import readings, summaries

MINUTE = 60
HOUR = 3600

_LOCK = 0x696F7479
"""The number under which PostgreSQL lets one sweep at a time take rows away."""

_PLACE = (readings.c.time, readings.c.epoch_id, readings.c.seq)

Place = tuple[float, int, int]
"""Where a reading stands in its channel: time, epoch, number."""


@dataclass(frozen=True, slots=True)
class Part:
    """A summary, or part of one."""

    start: int
    count: int
    least: float
    mean: float
    greatest: float


def fold_readings(
    database: Database, channel: int, before: float, into: int | None, most: int
) -> Iterator[int]:
    """Takes the readings of a channel away that were read and had come before a time.

    The newest live one stays.

    Args:
        database: The database.
        channel: The channel's id.
        before: Seconds since 1970.
        into: Seconds of the summaries that numbers go into; None for none.
        most: Rows of one transaction.

    Yields:
        After each transaction: how many rows it took.
    """
    old = [readings.c.channel_id == channel, readings.c.time < before, readings.c.received < before]
    last: Place | None = None
    while True:
        with database.read() as connection:
            newest = _newest(connection, channel)
            query = sa.select(*_PLACE).where(*old, *_after(last)).order_by(*_PLACE).limit(most)
            places = [(row.time, row.epoch_id, row.seq) for row in connection.execute(query)]
        if not places:
            return
        chosen = [*old, readings.c.time >= places[0][0], readings.c.time <= places[-1][0]]
        chosen += [*_after(last), sa.tuple_(*_PLACE) <= sa.tuple_(*places[-1])]
        last = places[-1]
        if newest is not None:
            chosen.append(sa.tuple_(*_PLACE) != sa.tuple_(*newest))
        if set(places) == {newest}:
            continue
        with database.write() as connection:
            _alone(connection)
            columns = readings.c.time, readings.c.kind, readings.c.number
            # What this very statement took away, so that nobody else can count it too.
            gone = connection.execute(sa.delete(readings).where(*chosen).returning(*columns)).all()
            if into is not None:
                numbers = [(row.time, row.number) for row in gone if row.kind != "s"]
                _add(connection, channel, into, (Part(int(at), 1, n, n, n) for at, n in numbers))
        yield len(gone)


def fold_summaries(  # noqa: PLR0913, PLR0917  # what, from where, to where
    database: Database, channel: int, seconds: int, before: float, into: int | None, most: int
) -> Iterator[int]:
    """Takes the summaries of a channel away that begin before a time, into longer ones, or into none.

    Yields:
        After each transaction: how many rows it took.
    """
    old = [
        summaries.c.channel_id == channel,
        summaries.c.seconds == seconds,
        summaries.c.start < before,
    ]
    while True:
        with database.read() as connection:
            query = sa.select(summaries.c.start).where(*old).order_by(summaries.c.start).limit(most)
            starts = connection.execute(query).scalars().all()
        if not starts:
            return
        with database.write() as connection:
            _alone(connection)
            columns = [summaries.c[each.name] for each in fields(Part)]
            chosen = sa.delete(summaries).where(*old, summaries.c.start <= starts[-1])
            gone = connection.execute(chosen.returning(*columns)).all()
            if into is not None:
                _add(connection, channel, into, (Part(*row) for row in gone))
        yield len(gone)


def _newest(connection: sa.Connection, channel: int) -> Place | None:
    query = (
        sa.select(*_PLACE)
        .where(readings.c.channel_id == channel, sa.not_(readings.c.historical))
        .order_by(readings.c.time.desc(), readings.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.time, row.epoch_id, row.seq)


def _after(place: Place | None) -> list[sa.ColumnElement[bool]]:
    if place is None:
        return []
    return [readings.c.time >= place[0], sa.tuple_(*_PLACE) > sa.tuple_(*place)]


def _alone(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _add(connection: sa.Connection, channel: int, seconds: int, parts: Iterable[Part]) -> None:
    """Adds to the summaries that are there; those that are missing are made."""
    sums: dict[int, Part] = {}
    for part in parts:
        start = part.start // seconds * seconds
        known = sums.get(start)
        sums[start] = replace(part, start=start) if known is None else _joined(known, part)
    if sums:
        rows: list[dict[str, Any]] = [
            {"channel_id": channel, "seconds": seconds, **asdict(sums[start])} for start in sorted(sums)
        ]
        postgres = connection.dialect.name != "sqlite"
        connection.execute(_INTO_POSTGRESQL if postgres else _INTO_SQLITE, rows)


def _joined(one: Part, other: Part) -> Part:
    count = one.count + other.count
    return Part(
        start=one.start,
        count=count,
        least=min(one.least, other.least),
        # Weighted, not summed: two of the greatest numbers have no sum.
        mean=one.mean * (one.count / count) + other.mean * (other.count / count),
        greatest=max(one.greatest, other.greatest),
    )


def _merging(insert: Any, least: Any, greatest: Any) -> Any:  # noqa: ANN401  # two dialects, one shape
    old, new = summaries.c, insert.excluded
    count = old.count + new.count
    share = sa.cast(old.count, sa.Double) / count, sa.cast(new.count, sa.Double) / count
    return insert.on_conflict_do_update(
        index_elements=[old.channel_id, old.seconds, old.start],
        set_={
            "count": count,
            "least": least(old.least, new.least),
            "mean": old.mean * share[0] + new.mean * share[1],
            "greatest": greatest(old.greatest, new.greatest),
        },
    )


_INTO_SQLITE = _merging(sqlite.insert(summaries), sa.func.min, sa.func.max)
_INTO_POSTGRESQL = _merging(postgresql.insert(summaries), sa.func.least, sa.func.greatest)
