"""How long the store keeps what, and in which steps it lets go of the rest."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.downsampling import HOUR, MINUTE, fold_readings, fold_summaries
from iotxmpp.controller.store.schema import channels, events, gaps, liveness, rejections
from iotxmpp.durations import duration
from iotxmpp.errors import InvalidError

MOST = 2000
"""Rows that one transaction takes away."""

Span = str | float | None


class Limits(NamedTuple):
    """A retention in seconds; None for ever, or for no such summaries."""

    raw: float | None
    minutes: float | None
    hours: float | None
    records: float | None


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long readings and what else is known of devices are kept; without limits, all for ever.

    Numbers and truth values (0 and 1) that are older than `raw` become summaries of a minute, these, beyond
    `minutes`, summaries of an hour, and these go beyond `hours`. Text has no summary and goes with `raw`. A
    stage that is None is left out; summaries that are there from before stay. The newest live reading of each
    channel stays, and so does everything that tells which readings have come.

    Each is text such as `12h`, `30d` or `5y`, or a number of seconds.

    Attributes:
        raw: How long readings are kept, by their own time and by the time they came.
        minutes: How long summaries of a minute are kept; longer than `raw`.
        hours: How long summaries of an hour are kept; longer than `minutes`.
        records: How long changes of state, events, gap records and rejections are kept.

    Raises:
        InvalidError: One is no duration, or they contradict each other.
    """

    raw: Span = None
    minutes: Span = None
    hours: Span = None
    records: Span = None

    def __post_init__(self) -> None:
        limits = self.limits
        before, name = limits.raw, "raw"
        for stage, limit in (("minutes", limits.minutes), ("hours", limits.hours)):
            if limit is None:
                continue
            if before is None:
                raise InvalidError(f"retention: {stage} is given without raw: readings are kept for ever")
            if limit <= before:
                raise InvalidError(f"retention: {stage} must be longer than {name}, which comes before")
            before, name = limit, stage

    @property
    def limits(self) -> Limits:
        """It in seconds."""
        return Limits(
            **{
                name: None if value is None else duration(value, f"retention: {name}")
                for name, value in vars(self).items()
            }
        )

    def __bool__(self) -> bool:
        """Whether anything goes at all."""
        return any(limit is not None for limit in self.limits)


class Chunk(NamedTuple):
    """What one transaction took away: so many rows of a table."""

    table: str
    rows: int


def sweep(
    database: Database, retention: Retention, *, now: float | None = None, most: int = MOST
) -> Iterator[Chunk]:
    """Lets go of what is older than a retention; each step is one transaction of at most `most` rows.

    Between two steps nothing is locked, and the caller may pause or stop for good: each transaction takes
    rows away and makes their summaries, both or neither. Several may sweep one store at once.

    Raises:
        StoreError: A step could not be done; nothing of it was.
    """
    limits = retention.limits
    now = time.time() if now is None else now
    for channel in _channels(database):
        if limits.raw is not None:
            into = MINUTE if limits.minutes else HOUR if limits.hours else None
            before = _before(now - limits.raw, into)
            for rows in fold_readings(database, channel, before, into, most):
                yield Chunk("readings", rows)
        if limits.minutes is not None:
            into = HOUR if limits.hours else None
            before = _before(now - limits.minutes - MINUTE, into)
            for rows in fold_summaries(database, channel, MINUTE, before, into, most):
                yield Chunk("minutes", rows)
        if limits.hours is not None:
            before = _before(now - limits.hours - HOUR, None)
            for rows in fold_summaries(database, channel, HOUR, before, None, most):
                yield Chunk("hours", rows)
    if limits.records is not None:
        yield from _forget(database, now - limits.records, most)


def _before(limit: float, into: int | None) -> float:
    """Where whole summaries end, so that most are made in one go."""
    return limit if into is None else limit // into * into


def _channels(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(sa.select(channels.c.id).order_by(channels.c.id)).scalars())


def _forget(database: Database, before: float, most: int) -> Iterator[Chunk]:
    for table, name, moment, key in (
        (liveness, "states", liveness.c.time, [liveness.c.id]),
        (events, "events", events.c.time, [events.c.id]),
        (rejections, "rejections", rejections.c.time, [rejections.c.id]),
        (gaps, "gaps", gaps.c.received, [gaps.c.epoch_id, gaps.c.first]),
    ):
        chosen = sa.select(*key).where(moment < before).limit(most)
        while True:
            with database.read() as connection:
                keys = [tuple(row) for row in connection.execute(chosen)]
            if not keys:
                break
            with database.write() as connection:
                gone = connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(keys))).rowcount
            yield Chunk(name, gone)
