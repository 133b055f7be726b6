"""Finds the numbers that are missing in an outbox's file: neither readings nor losses."""

import sqlite3
from collections.abc import Iterator

from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.room import count_rows

_READINGS = "SELECT place, place FROM readings WHERE place BETWEEN ? AND ? ORDER BY place"
_LOSSES = "SELECT max(first, ?), min(last, ?) FROM losses WHERE last >= ? AND first <= ? ORDER BY first"


def holes(connection: sqlite3.Connection, first: int, last: int) -> list[Span]:
    """The runs of places between two, both included, that the file does not account for.

    Each number that was given is a reading, a loss, or was acknowledged; so there is a hole only where a file
    was damaged, or goes back to an earlier state.
    """
    lost = connection.execute(
        "SELECT coalesce(sum(min(last, ?) - max(first, ?) + 1), 0) FROM losses"
        " WHERE last >= ? AND first <= ?",
        (last, first, first, last),
    ).fetchone()[0]
    if count_rows(connection, first, last)[0] + lost == last - first + 1:
        return []
    return list(_between(_merged(connection, first, last), first, last))


def _between(spans: Iterator[Span], first: int, last: int) -> Iterator[Span]:
    for start, end in spans:
        if start > first:
            yield first, start - 1
        first = max(first, end + 1)
    if first <= last:
        yield first, last


def _merged(connection: sqlite3.Connection, first: int, last: int) -> Iterator[Span]:
    """Readings and losses by their first places, without keeping them all in memory."""
    readings = connection.execute(_READINGS, (first, last))
    losses = connection.execute(_LOSSES, (first, last, first, last))
    reading, loss = readings.fetchone(), losses.fetchone()
    while reading or loss:
        if loss is None or (reading is not None and reading < loss):
            yield reading
            reading = readings.fetchone()
        else:
            yield loss
            loss = losses.fetchone()
