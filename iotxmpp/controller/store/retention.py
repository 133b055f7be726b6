"""How long the store keeps what, and in which steps it lets go of the rest."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.downsampling import HOUR, MINUTE, fold_readings, fold_summaries
from iotxmpp.controller.store.finding import Memory, looking, spans, with_old_readings, with_old_summaries
from iotxmpp.controller.store.schema import events, gaps, liveness, rejections
from iotxmpp.durations import duration
from iotxmpp.errors import InvalidError

MOST = 2000
"""Rows that one transaction takes away, or one look examines."""

LONGEST = 0.02
"""Seconds that a step may look around, about."""

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
    """What one step did: it took so many rows of a table away, or none: it only looked."""

    table: str
    rows: int


def sweep(  # noqa: PLR0913  # a time and sizes, for tests
    database: Database,
    retention: Retention,
    *,
    memory: Memory | None = None,
    now: float | None = None,
    most: int = MOST,
    longest: float = LONGEST,
) -> Iterator[Chunk]:
    """Lets go of what is older than a retention, in short steps.

    Each step is one transaction of at most `most` rows, or some tens of milliseconds of looking. Between two
    steps nothing is locked, and the caller may pause or stop for good: each transaction takes rows away and
    makes their summaries, both or neither. Several may sweep one store at once.

    Args:
        database: The store's database.
        retention: What is kept.
        memory: What earlier sweeps of it found; it makes this one shorter.
        now: The time; this machine's clock unless given.
        most: Rows of one transaction, or of one look.
        longest: Seconds after which looking is interrupted.

    Raises:
        StoreError: A step could not be done; nothing of it was.
    """
    began = time.monotonic()
    for chunk in _steps(
        database, retention.limits, memory or Memory(), time.time() if now is None else now, most
    ):
        if chunk.rows or time.monotonic() - began >= longest:
            yield chunk
            began = time.monotonic()


def _steps(database: Database, limits: Limits, memory: Memory, now: float, most: int) -> Iterator[Chunk]:
    for span in spans(database):
        if limits.raw is not None:
            into = MINUTE if limits.minutes else HOUR if limits.hours else None
            before = _before(now - limits.raw, into)
            chosen = with_old_readings(database, span, before)
            yield Chunk("readings", 0)
            for channel in chosen:
                for rows in fold_readings(database, channel, before, into, most, memory):
                    yield Chunk("readings", rows)
        if limits.minutes is not None:
            into = HOUR if limits.hours else None
            before = _before(now - limits.minutes - MINUTE, into)
            yield from _fold_summaries(database, span, Summaries("minutes", MINUTE, before, into), most)
        if limits.hours is not None:
            before = _before(now - limits.hours - HOUR, None)
            yield from _fold_summaries(database, span, Summaries("hours", HOUR, before, None), most)
    if limits.records is not None:
        yield from _forget(database, now - limits.records, most, memory)


class Summaries(NamedTuple):
    """Which summaries go: of so many seconds, from before a time, into longer ones or none."""

    name: str
    seconds: int
    before: float
    into: int | None


def _fold_summaries(database: Database, span: tuple[int, int], old: Summaries, most: int) -> Iterator[Chunk]:
    chosen = with_old_summaries(database, span, old.seconds, old.before)
    yield Chunk(old.name, 0)
    for channel in chosen:
        for rows in fold_summaries(database, channel, old.seconds, old.before, old.into, most):
            yield Chunk(old.name, rows)


def _before(limit: float, into: int | None) -> float:
    """Where whole summaries end, so that most are made in one go."""
    return limit if into is None else limit // into * into


def _forget(database: Database, before: float, most: int, memory: Memory) -> Iterator[Chunk]:
    for table, name, moment in (
        (liveness, "states", liveness.c.time),
        (events, "events", events.c.time),
        (rejections, "rejections", rejections.c.time),
        (gaps, "gaps", gaps.c.received),
    ):
        if memory.tables.pop(name, -math.inf) >= before:
            continue
        key = list(table.primary_key)
        due, complete = math.inf, False
        beyond: list[sa.ColumnElement[bool]] = []
        while not complete:
            # By the primary key, since not every table has an index that begins with the time.
            query = sa.select(moment.label("moment"), *key).where(*beyond).order_by(*key).limit(most)
            with looking(database) as connection:
                rows = connection.execute(query).all()
            complete = len(rows) < most
            due = min([due, *(row.moment for row in rows if row.moment >= before)])
            keys = [tuple(row[1:]) for row in rows if row.moment < before]
            gone = 0
            if keys:
                with database.write() as connection:
                    gone = connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(keys))).rowcount
            yield Chunk(name, gone)
            if rows:
                beyond = [sa.tuple_(*key) > sa.tuple_(*rows[-1][1:])]
        if math.isfinite(due):
            memory.tables[name] = due
