"""Old readings become summaries: in each transaction rows go, and their summaries come, both or neither."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.finding import PLACE, Kept, Memory, Place, find_newest, looking
from iotxmpp.controller.store.schema import readings, summaries

MINUTE = 60
HOUR = 3600

_LOCK = 0x696F7479
"""The number under which PostgreSQL lets one sweep at a time take rows away."""


@dataclass(frozen=True, slots=True)
class Part:
    """A summary, or part of one."""

    start: int
    count: int
    least: float
    mean: float
    greatest: float


def fold_readings(  # noqa: PLR0913, PLR0917  # what, from where, to where
    database: Database, channel: int, before: float, into: int | None, most: int, memory: Memory
) -> Iterator[int]:
    """Takes the readings of a channel away that were read and had come before a time.

    The newest live one stays.

    Args:
        database: The database.
        channel: The channel's id.
        before: Seconds since 1970.
        into: Seconds of the summaries that numbers go into; None for none.
        most: Rows of one transaction, or of one look.
        memory: What earlier sweeps had to leave.

    Yields:
        After each transaction: how many rows it took; 0 after a mere look.
    """
    kept = memory.channels.pop(channel, None)
    if kept is not None and kept.due < before:
        kept = None
    due = math.inf if kept is None else kept.due
    beyond = [] if kept is None else [readings.c.time >= kept.upto]
    newest: Place | None = None
    looked = complete = False
    while not complete:
        with looking(database) as connection:
            query = sa.select(*PLACE, readings.c.received, readings.c.historical)
            query = query.where(readings.c.channel_id == channel, readings.c.time < before, *beyond)
            rows = connection.execute(query.order_by(*PLACE).limit(most)).all()
        complete = len(rows) < most
        due = min([due, *(row.received for row in rows if row.received >= before)])
        old = [row for row in rows if row.received < before]
        if not looked and not all(row.historical for row in old):
            looked = True
            for newest in find_newest(database, channel, most):  # noqa: B007  # the last one counts
                yield 0
        places: list[Place] = [(row.time, row.epoch_id, row.seq) for row in old]
        if newest in places:
            due = -math.inf  # another one may be the newest by the next sweep
        if set(places) - {newest}:
            yield _fold(database, channel, before, into, places, newest)
        else:
            yield 0
        if rows:
            beyond = _after(rows[-1][:3])
    if math.isfinite(due):
        memory.channels[channel] = Kept(upto=before, due=due)


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
        with looking(database) as connection:
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


def _fold(  # noqa: PLR0913, PLR0917  # what, from where, to where
    database: Database,
    channel: int,
    before: float,
    into: int | None,
    places: list[Place],
    newest: Place | None,
) -> int:
    """Takes the readings from the first to the last of these places away, but the newest."""
    chosen = [readings.c.channel_id == channel, readings.c.received < before]
    chosen += [readings.c.time >= places[0][0], readings.c.time <= places[-1][0]]
    chosen += [sa.tuple_(*PLACE) >= sa.tuple_(*places[0]), sa.tuple_(*PLACE) <= sa.tuple_(*places[-1])]
    if newest is not None:
        chosen.append(sa.tuple_(*PLACE) != sa.tuple_(*newest))
    with database.write() as connection:
        _alone(connection)
        columns = readings.c.time, readings.c.kind, readings.c.number
        # What this very statement took away, so that nobody else can count it too.
        gone = connection.execute(sa.delete(readings).where(*chosen).returning(*columns)).all()
        if into is not None:
            numbers = [(row.time, row.number) for row in gone if row.kind != "s"]
            _add(connection, channel, into, (Part(int(at), 1, n, n, n) for at, n in numbers))
    return len(gone)


def _after(place: Place) -> list[sa.ColumnElement[bool]]:
    return [readings.c.time >= place[0], sa.tuple_(*PLACE) > sa.tuple_(*place)]


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
