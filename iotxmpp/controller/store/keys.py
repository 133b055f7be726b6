"""Ids of devices and channels, remembered."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.schema import channels, devices

MOST = 50_000
"""Ids that are remembered."""

Key = tuple[Any, ...]


def insert_new(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Inserts the rows that are not there yet."""
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
    else:
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)


class Ids:
    """The ids of a table's rows by some of its columns; rows that are missing are made.

    Rows never go and never change these columns, so what was committed once stays right.
    """

    def __init__(self, table: sa.Table, *columns: str) -> None:
        self._table = table
        self._columns = columns
        self._known: dict[Key, int] = {}

    def find(self, direct: Direct, keys: Iterable[Key]) -> dict[Key, int]:
        """The ids of all these keys."""
        wanted = set(keys)
        found = {key: self._known[key] for key in wanted if key in self._known}
        # In one order, so that two controllers wait for each other at most, and never both at once.
        missing = sorted(wanted - found.keys())
        if missing:
            rows = [dict(zip(self._columns, key, strict=True)) for key in missing]
            insert_new(direct.connection, self._table, rows)
            found |= self._read(direct.connection, missing)
            if len(self._known) > MOST:
                self._known.clear()
            self._known |= found
        return found

    def forget(self) -> None:
        """Forgets all; for a transaction that failed."""
        self._known.clear()

    def _read(self, connection: sa.Connection, keys: list[Key]) -> dict[Key, int]:
        columns = [self._table.c[name] for name in self._columns]
        condition = (
            columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else sa.tuple_(*columns).in_(keys)
        )
        rows = connection.execute(sa.select(self._table.c.id, *columns).where(condition))
        return {tuple(row[1:]): int(row[0]) for row in rows}


def device_ids() -> Ids:
    """The ids of devices by their name."""
    return Ids(devices, "name")


def channel_ids() -> Ids:
    """The ids of channels by device, name and unit."""
    return Ids(channels, "device_id", "name", "unit")
