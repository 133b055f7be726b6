"""Puts readings into their table, many a statement.

SQLAlchemy's own inserts of many rows cost twice as much, and on PostgreSQL a message a row.
"""

import functools
from collections.abc import Iterable, Sequence
from itertools import chain, islice

from iotxmpp.controller.columns import Columns
from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.rows import Pack, Row, ids_of, kinds_of, rows_of
from iotxmpp.controller.store.schema import readings

_TABLE = f"{readings.name} ({', '.join(readings.c.keys())})"
_TYPES = ("int", "bigint", "int", "float8", "text", "float8", "text", "float8", "boolean", "text")
_ARRAYS = ", ".join(f"?::{kind}[]" for kind in _TYPES)
_POSTGRESQL = f"INSERT INTO {_TABLE} SELECT * FROM unnest({_ARRAYS})"  # noqa: S608  # our own names
_PLACES = f"({', '.join('?' * len(readings.c))})"
_SQLITE = f"INSERT INTO {_TABLE} VALUES {_PLACES}"  # noqa: S608  # likewise
# An old SQLite takes 999 values a statement; the fewer there are, the less a busy loop holds them up.
_SQLITE_MANY = {size: _SQLITE + f", {_PLACES}" * (size - 1) for size in (90, 50, 10)}


@functools.lru_cache
def _together(size: int) -> str:
    """The statement for so many numbers of one pack: what they share is bound once.

    Not by numbered places, `?1`: at each of them Python 3.12 warns until 3.12.3.
    """
    own = ", ".join(f"({row}, ?, ?, ?, ?)" for row in range(size))
    return (
        "WITH shared(epoch, first, received, late, clock) AS (VALUES (?, ?, ?, ?, ?)),"  # noqa: S608  # likewise
        f" own(row, channel, time, kind, number) AS (VALUES {own})"
        f" INSERT INTO {_TABLE} SELECT epoch, first + row, channel, time, kind, number, NULL,"
        " received, late, clock FROM own CROSS JOIN shared"
    )


_LEAST, _MOST, _STEP = 26, 200, 2
"""Readings of such a statement. Binding its values is most of what a row costs: here it takes two thirds of
the time of the other rows, but each pack has a statement to itself. There are fewer sizes than
statements that the driver remembers (128), for to prepare one takes as long as fifty rows."""


def insert(direct: Direct, packs: Iterable[Pack]) -> None:
    """Inserts the readings of many packs."""
    if direct.sqlite:
        _insert_rows(direct, [row for pack in packs for row in _left(direct, pack)])
        return
    rows = list(chain.from_iterable(map(rows_of, packs)))
    if rows:
        direct.execute(_POSTGRESQL, tuple(list(column) for column in zip(*rows, strict=True)))


def _left(direct: Direct, pack: Pack) -> Iterable[Row]:
    """Inserts a large part of a pack by itself, if it can, and gives the other rows.

    Small packs go together: at each statement the driver lets go of the interpreter, and waits for it.
    """
    done = _insert_together(direct, pack, pack.readings) if isinstance(pack.readings, Columns) else 0
    return islice(rows_of(pack), done, None) if done < len(pack.readings) else ()


def _insert_together(direct: Direct, pack: Pack, columns: Columns) -> int:
    """Inserts the first so many readings of a pack."""
    if columns.texts or len(columns) < _LEAST:
        return 0
    own = zip(
        ids_of(pack, columns.places),
        map(float, columns.times),
        kinds_of(columns.places),
        map(float, columns.values),
        strict=True,
    )
    done = 0
    while (size := min(len(columns) - done, _MOST) // _STEP * _STEP) >= _LEAST:
        shared = pack.epoch_id, columns.first + done, pack.received, columns.historical, columns.clock
        direct.execute(_together(size), (*shared, *chain.from_iterable(islice(own, size))))
        done += size
    return done


def _insert_rows(direct: Direct, rows: Sequence[Row]) -> None:
    done = 0
    for size, statement in _SQLITE_MANY.items():
        while len(rows) - done >= size:
            direct.execute(statement, tuple(chain.from_iterable(rows[done : done + size])))
            done += size
    if done < len(rows):
        direct.execute_many(_SQLITE, rows[done:])
