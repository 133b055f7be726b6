"""Keeps an outbox within its bounds: what goes when it is full or old, and what is noted of it."""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from iotxmpp.agent.outbox.rows import LAST, ROW_BYTES, Row
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.delivery import GapReason

AT_ONCE = 64
"""When it is full, at least this part of the bound is freed: so that it is not done for each reading."""

MARK_EVERY = 168
"""The age is told in steps of this part of the bound: an hour in a week."""

_MOST = 50_000  # places that are looked at in one go
SIZE = f"{ROW_BYTES} + CASE typeof(value) WHEN 'text' THEN length(CAST(value AS BLOB)) ELSE 0 END"


class Cut(NamedTuple):
    """What was dropped: so many readings, of so many bytes; and whether there is no room all the same."""

    rows: int = 0
    bytes: int = 0
    stuck: bool = False


class _Candidate(NamedTuple):
    place: int
    time: float
    size: int


def count_rows(connection: sqlite3.Connection, first: int = 0, last: int = LAST) -> tuple[int, int]:
    """How many readings stand between two places, and about how many bytes they take."""
    count, size = connection.execute(
        f"SELECT count(*), coalesce(sum({SIZE}), 0) FROM readings WHERE place BETWEEN ? AND ?",  # noqa: S608  # fixed text
        (first, last),
    ).fetchone()
    return count, size


class Bounds:
    """Drops readings, inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._last_mark = float("-inf")
        self._oldest_mark = float("-inf")  # no mark that is kept is older

    def make_room(self, held: int, needed: int, rows: Sequence[Row], now: float | None) -> Cut:
        """Drops what is too old, and what stands in the way of new readings.

        Args:
            held: Bytes that are held.
            needed: Bytes that the new readings need.
            rows: The new readings.
            now: Seconds since 1970, by a clock that can be trusted.
        """
        dropped: list[_Candidate] = []
        if now is not None:
            dropped += self._expire(now)
            if rows:
                self._mark(rows[0].place, now)
        excess = held + needed - self._limits.bytes - _bytes(dropped)
        if excess > 0:
            wanted = max(excess, self._limits.bytes // AT_ONCE)
            thinned = self._thin()
            dropped += thinned
            if _bytes(thinned) < excess:
                dropped += self._drop_oldest(wanted - _bytes(thinned))
        stuck = excess > 0 and held + needed - _bytes(dropped) > self._limits.bytes
        return Cut(rows=len(dropped), bytes=_bytes(dropped), stuck=stuck)

    def lose(self, first: int, last: int, reason: GapReason) -> None:
        """Notes a loss, joined with those beside it; one of nothing is not noted."""
        if first > last:
            return
        beside = self._connection.execute(
            "SELECT id, first, last FROM losses WHERE reason = :reason AND last = :before"
            " UNION SELECT id, first, last FROM losses WHERE reason = :reason AND first = :after",
            {"reason": reason, "before": first - 1, "after": last + 1},
        ).fetchall()
        for number, other_first, other_last in beside:
            first, last = min(first, other_first), max(last, other_last)
            self._connection.execute("DELETE FROM losses WHERE id = ?", (number,))
        self._connection.execute(
            "INSERT INTO losses (first, last, reason) VALUES (?, ?, ?)", (first, last, reason)
        )

    def _drop_oldest(self, wanted: int) -> list[_Candidate]:
        """Drops the oldest readings of channels that allow it; those of one sample go together."""
        spared = self._channels("reject")
        chosen: list[_Candidate] = []
        freed = 0
        for each in self._candidates(spared=spared):
            if freed >= wanted and each.time != chosen[-1].time:
                break
            chosen.append(each)
            freed += each.size
        return self._drop(chosen, "full")

    def _thin(self) -> list[_Candidate]:
        """Drops every second reading of the older half of each channel that asks for it."""
        dropped: list[_Candidate] = []
        by_name = self._channels("thin")
        for _, numbers in groupby(sorted(by_name, key=by_name.__getitem__), key=by_name.__getitem__):
            of_one = list(numbers)
            marks = ", ".join("?" * len(of_one))
            query = f"SELECT count(*) FROM readings WHERE channel IN ({marks})"  # noqa: S608  # only marks
            count = self._connection.execute(query, of_one).fetchone()[0]
            older = self._candidates(only=of_one, most=min(count // 2, _MOST))
            dropped += self._drop(older[1::2], "full")
        return dropped

    def _expire(self, now: float) -> list[_Candidate]:
        if self._oldest_mark >= now - self._limits.age:
            return []
        oldest, kept_by_then = self._connection.execute(
            "SELECT min(time), max(place) FILTER (WHERE time < ?) FROM marks WHERE typeof(time) = 'real'",
            (now - self._limits.age,),
        ).fetchone()
        if kept_by_then is None:
            self._oldest_mark = now if oldest is None else oldest
            return []
        old = self._candidates(before=kept_by_then)
        if len(old) < _MOST:
            self._connection.execute("DELETE FROM marks WHERE place < ?", (kept_by_then,))
        return self._drop(old, "age")

    def _mark(self, place: int, now: float) -> None:
        """Remembers which places were taken by now; after a jump of the clock, anew."""
        if 0 <= now - self._last_mark < self._limits.age / MARK_EVERY:
            return
        self._last_mark = now
        self._oldest_mark = min(self._oldest_mark, now)
        self._connection.execute("INSERT OR REPLACE INTO marks (place, time) VALUES (?, ?)", (place, now))

    def _candidates(
        self,
        *,
        spared: Iterable[int] = (),
        only: Iterable[int] = (),
        before: int = LAST,
        most: int = _MOST,
    ) -> list[_Candidate]:
        chosen = " AND channel NOT IN (" + ", ".join(str(int(each)) for each in spared) + ")"
        if only:
            chosen += " AND channel IN (" + ", ".join(str(int(each)) for each in only) + ")"
        query = f"SELECT place, time, {SIZE} FROM readings WHERE place < ?{chosen} ORDER BY place LIMIT ?"  # noqa: S608  # only numbers
        return [_Candidate(*row) for row in self._connection.execute(query, (before, most))]

    def _drop(self, chosen: list[_Candidate], reason: GapReason) -> list[_Candidate]:
        for first, last in runs([each.place for each in chosen]):
            self._connection.execute("DELETE FROM readings WHERE place BETWEEN ? AND ?", (first, last))
            self.lose(first, last, reason)
        return chosen

    def _channels(self, when_full: str) -> dict[int, str]:
        """The ids and names of the channels with that policy."""
        rows = self._connection.execute("SELECT id, name FROM channels").fetchall()
        return {number: name for number, name in rows if self._limits.of(name) == when_full}


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """The ascending numbers as runs: the first and the last of each."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _bytes(chosen: Iterable[_Candidate]) -> int:
    return sum(each.size for each in chosen)
