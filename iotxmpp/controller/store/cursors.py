"""Which numbers of which epochs the store has, remembered and checked against the database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.keys import insert_new
from iotxmpp.controller.store.schema import epochs, islands
from iotxmpp.intervals import Intervals, Run

MOST = 20_000
"""Epochs that are remembered."""

Name = tuple[int, str]
"""An epoch: the id of its device, and its name."""


@dataclass(slots=True)
class Cursor:
    """One epoch in a transaction.

    Attributes:
        id: The row's id.
        version: The row's version, as it was read or written last.
        numbers: All numbers that are settled.
        stored: The islands as they are in the database.
        upto: The contiguous number as it is in the database.
        seen: When something of it came last; None for nothing in this transaction.
    """

    id: int
    version: int
    numbers: Intervals
    stored: list[Run]
    upto: int
    seen: float | None = None


class Cursors:
    """The cursors of all epochs; each transaction locks its own, in one order."""

    def __init__(self) -> None:
        self._known: dict[Name, Cursor] = {}

    def lock(self, direct: Direct, names: Collection[Name], now: float) -> dict[Name, Cursor]:
        """The cursors of these epochs, locked until the transaction ends; new ones are made.

        They are the caller's to change; `keep` writes them.
        """
        unknown = sorted(name for name in names if name not in self._known)
        if unknown:
            rows = [
                {
                    "device_id": device,
                    "epoch": epoch,
                    "contiguous": 0,
                    "version": 0,
                    "first_seen": now,
                    "last_seen": now,
                }
                for device, epoch in unknown
            ]
            insert_new(direct.connection, epochs, rows)
        ids = self._ids(direct, unknown)
        ids |= {name: self._known[name].id for name in names if name in self._known}
        return self._current(direct, ids)

    def keep(self, direct: Direct, cursors: Iterable[Cursor]) -> None:
        """Writes the cursors that were seen in this transaction."""
        seen = [cursor for cursor in cursors if cursor.seen is not None]
        if not seen:
            return
        gone, new = [], []
        for cursor in seen:
            now = cursor.numbers.islands
            if now != cursor.stored:
                before, after = set(cursor.stored), set(now)
                gone += [{"of": cursor.id, "from": first} for first, _ in before - after]
                new += [
                    {"epoch_id": cursor.id, "first": first, "last": last} for first, last in after - before
                ]
                cursor.stored = now
        if gone:
            direct.connection.execute(_DELETE, gone)
        if new:
            direct.connection.execute(sa.insert(islands), new)
        rows = [(each.numbers.contiguous, each.version + 1, each.seen, each.id) for each in seen]
        direct.execute_many(_UPDATE, rows)
        for cursor in seen:
            cursor.version += 1
            cursor.upto = cursor.numbers.contiguous
            cursor.seen = None

    def remember(self, cursors: dict[Name, Cursor]) -> None:
        """Takes the cursors of a transaction that was committed."""
        if len(self._known) > MOST:
            self._known.clear()
        self._known |= cursors

    def forget(self) -> None:
        """Forgets all; for a transaction that failed."""
        self._known.clear()

    def _ids(self, direct: Direct, names: list[Name]) -> dict[Name, int]:
        if not names:
            return {}
        key = sa.tuple_(epochs.c.device_id, epochs.c.epoch)
        rows = direct.connection.execute(
            sa.select(epochs.c.id, epochs.c.device_id, epochs.c.epoch).where(key.in_(names))
        )
        return {(row.device_id, row.epoch): row.id for row in rows}

    def _current(self, direct: Direct, ids: dict[Name, int]) -> dict[Name, Cursor]:
        """The cursors as they are in the database now, from memory where their version is the same."""
        rows = _locked(direct, list(ids.values()))
        current: dict[Name, Cursor] = {}
        stale = []
        for name, key in ids.items():
            known = self._known.get(name)
            if known is not None and known.version == rows[key][0]:
                current[name] = Cursor(key, known.version, known.numbers.copy(), known.stored, known.upto)
            else:
                stale.append(key)
        if stale:
            runs = _islands(direct.connection, stale)
            for name, key in ids.items():
                if name not in current:
                    (version, contiguous), found = rows[key], runs.get(key, [])
                    numbers = Intervals(contiguous, found)
                    current[name] = Cursor(key, version, numbers, found, contiguous)
        return current


def _locked(direct: Direct, ids: list[int]) -> dict[int, tuple[int, int]]:
    """Version and contiguous number of each of these rows, locked until the transaction ends."""
    if direct.sqlite:  # the transaction has the only lock already
        rows = direct.rows(f"{_SELECT} IN ({', '.join('?' * len(ids))})", ids)
    else:
        rows = direct.rows(f"{_SELECT} = ANY(?) ORDER BY id FOR NO KEY UPDATE", (ids,))
    return {key: (version, contiguous) for key, version, contiguous in rows}


def _islands(connection: sa.Connection, ids: list[int]) -> dict[int, list[Run]]:
    query = (
        sa.select(islands).where(islands.c.epoch_id.in_(ids)).order_by(islands.c.epoch_id, islands.c.first)
    )
    found: dict[int, list[Run]] = {}
    for epoch_id, first, last in connection.execute(query):
        found.setdefault(epoch_id, []).append((first, last))
    return found


_SELECT = f"SELECT id, version, contiguous FROM {epochs.name} WHERE id"  # noqa: S608  # our own name
_DELETE = sa.delete(islands).where(
    islands.c.epoch_id == sa.bindparam("of"), islands.c.first == sa.bindparam("from")
)
_UPDATE = f"UPDATE {epochs.name} SET contiguous = ?, version = ?, last_seen = ? WHERE id = ?"  # noqa: S608  # our own name
