"""Readings into the outbox's table, many in each step of SQLite."""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

from iotxmpp.readings import Value

Columns = tuple[int, int, float, int, Value, int]
"""A reading's place, channel, time, kind, value and crc, as the file has them."""

AT_ONCE: Final = 50
"""Rows of one step: each step lets go of Python's lock, and the loop's thread takes its turn then."""

_INTO = "INSERT OR IGNORE INTO readings (place, channel, time, kind, value, crc) VALUES "
_ONE = "(?, ?, ?, ?, ?, ?)"
_SOME = ", ".join([_ONE] * AT_ONCE)


def insert(connection: sqlite3.Connection, readings: Sequence[Columns]) -> int:
    """Inserts readings, and says how many; one that is there already stays as it is.

    That may be after a commit of unknown fate.
    """
    whole = len(readings) - len(readings) % AT_ONCE
    count = 0
    for start in range(0, whole, AT_ONCE):
        values = list(chain.from_iterable(readings[start : start + AT_ONCE]))
        count += connection.execute(_INTO + _SOME, values).rowcount
    if whole < len(readings):
        count += connection.executemany(_INTO + _ONE, readings[whole:]).rowcount
    return count
