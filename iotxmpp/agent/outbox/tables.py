"""The outbox's tables: readings, losses and dead letters, wherever they are."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from iotxmpp.agent.outbox.checks import (
    DamagedRowError,
    Names,
    checked_epoch,
    checked_letter,
    checked_loss,
    checked_rows,
    sealed,
)
from iotxmpp.agent.outbox.holes import holes
from iotxmpp.agent.outbox.inserting import insert
from iotxmpp.agent.outbox.protocol import Found, Span
from iotxmpp.agent.outbox.room import Bounds, count_rows
from iotxmpp.agent.outbox.rows import (
    LAST,
    DeadLetter,
    Epoch,
    Loss,
    Row,
    Stock,
    by_epoch,
    epoch_of,
    place_of,
    size_of_all,
)
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.delivery import GapReason

_INSERT_LETTER = (
    "INSERT OR IGNORE INTO dead (place, channel, time, kind, value, crc, epoch, reason, retry)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

MOST_DEAD = 1000
"""Dead letters that are kept; older ones are forgotten."""

_EPOCHS = "SELECT id, name, boot, offset, trimmed, attempted FROM epochs ORDER BY id"


def read_letters(connection: sqlite3.Connection) -> list[DeadLetter]:
    """The dead letters of an outbox, the oldest first."""
    names = read_channels(connection)
    checked = connection.execute("PRAGMA user_version").fetchone()[0] != 1
    rows = connection.execute(
        f"SELECT place, channel, time, kind, value, {'crc' if checked else 'NULL'}, epoch, reason, retry"  # noqa: S608  # fixed text
        " FROM dead ORDER BY place"
    )
    return [checked_letter(each, names) for each in rows]


def read_channels(connection: sqlite3.Connection) -> Names:
    """The channels of an outbox by their ids."""
    rows = connection.execute("SELECT id, name, unit FROM channels").fetchall()
    return {number: (name, unit or None) for number, name, unit in rows}


class SqlOutbox:
    """An outbox in SQLite."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._channels: dict[tuple[str, str | None], int] = {}
        self._names: Names = {}
        self._runs: dict[int, str] = {}
        self._load_names()
        held, size = count_rows(connection)
        dead = connection.execute("SELECT count(*) FROM dead").fetchone()[0]
        self.stock = Stock(held=held, bytes=size, dead=dead)
        self._bounds = Bounds(connection, limits)
        self._current = 0
        self._check_runs()  # damage is to be found now
        connection.execute("DELETE FROM losses WHERE first > last")
        self._refresh()

    def epochs(self) -> list[Epoch]:
        """The epochs of which it holds something, and the current one."""
        return [each for each in self.known() if each.last or each.id == self._current]

    def known(self) -> list[Epoch]:
        """All epochs that were not forgotten, also those of which nothing is held."""
        rows = self._connection.execute(_EPOCHS).fetchall()
        return [self._with_bounds(checked_epoch(row)) for row in rows]

    def begin(self, epoch: Epoch) -> None:
        """Makes an epoch known; the one with the highest id is the current one."""
        with self._transaction():
            self._begin(epoch)
            self._current = max(epoch.id, self._current)

    def forget(self) -> None:
        """Forgets the epochs of which nothing is held, except for the current one."""
        empty = [(each.id,) for each in self.known() if each.last == 0 and each.id != self._current]
        if empty:
            with self._transaction():
                self._connection.executemany("DELETE FROM epochs WHERE id = ?", empty)

    def repair(self, epochs: Iterable[Epoch], found: Found | None = None) -> list[Epoch]:
        """Takes over what is left of a damaged file, and notes what is missing as lost: all, or nothing.

        Args:
            epochs: What should be there: each with its first and its last place.
            found: What could be read of the damaged file, if there is one.

        Returns:
            The runs of places that were noted as lost now.
        """
        lost: list[Epoch] = []
        with self._transaction():
            for epoch in epochs:
                if epoch.id not in self._runs:
                    self._begin(epoch)
            if found is not None:
                self._take_over(found)
            for epoch in epochs:
                whole = epoch if epoch.last else self._with_bounds(epoch)
                if whole.is_held:
                    for first, last in holes(self._connection, whole.first, whole.last):
                        self._bounds.lose(first, last, "corrupt")
                        lost.append(replace(epoch, first=first, last=last))
        return lost

    def set_attempted(self, attempted: Mapping[str, int]) -> None:
        """Notes up to which number epochs were given to the link."""
        with self._transaction(refresh=False):
            self._connection.executemany(
                "UPDATE epochs SET attempted = max(attempted, ?) WHERE name = ?",
                [(seq, name) for name, seq in attempted.items()],
            )

    def next_epoch(self) -> int:
        """An id for a new epoch."""
        return max(self._runs, default=0) + 1

    def set_offset(self, boot: str, offset: float) -> None:
        """The clock was set in that run of the system."""
        with self._transaction():
            self._connection.execute("UPDATE epochs SET offset = ? WHERE boot = ?", (offset, boot))

    def write(
        self,
        rows: Sequence[Row] = (),
        *,
        trims: Iterable[Span] = (),
        revived: Iterable[int] = (),
        now: float | None = None,
    ) -> None:
        """Keeps readings, and makes room for them."""
        with self._transaction(refresh=False):
            spans = list(trims)
            for first, last in spans:
                self._trim(first, last)
            size = size_of_all([row.value for row in rows])
            cut = self._bounds.make_room(self.stock.bytes, size, rows, now)
            self._changed(held=-cut.rows, size=-cut.bytes, dropped=cut.rows)
            self.stock = replace(self.stock, stuck=cut.stuck)
            self._insert(rows)
            places = [(place,) for place in revived]
            if places:
                self._connection.executemany("DELETE FROM dead WHERE place = ?", places)
                self._count_dead()
            if spans or cut.rows:
                self._refresh()
            elif rows:
                oldest = self.stock.oldest or rows[0]
                self.stock = replace(self.stock, oldest=min(oldest, rows[0], key=lambda row: row.place))

    def absorb(self, rows: Sequence[Row], losses: Sequence[Loss], letters: Sequence[DeadLetter]) -> None:
        """Keeps what was kept elsewhere."""
        with self._transaction():
            self._insert(rows)
            for loss in losses:
                self._bounds.lose(loss.first, loss.last, loss.reason)
            self._connection.executemany(
                _INSERT_LETTER,
                [self._packed_letter(each) for each in letters],
            )
            self._count_dead()

    def page(self, first: int, last: int, most: int) -> list[Row]:
        """The first readings between two places."""
        rows = self._connection.execute(
            "SELECT place, channel, time, kind, value, crc FROM readings"
            " WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?",
            (first, last, most),
        ).fetchall()
        checked: list[Row] = []
        for number, found in by_epoch(rows):
            checked += checked_rows(found, self._runs.get(number), self._names)
        return checked

    def losses(self, after: int, most: int) -> list[Loss]:
        """Losses with a greater id."""
        rows = self._connection.execute(
            "SELECT id, first, last, reason FROM losses WHERE id > ? ORDER BY id LIMIT ?", (after, most)
        )
        return [checked_loss(row) for row in rows]

    def lose(self, first: int, last: int, reason: GapReason) -> None:
        """Notes a loss."""
        with self._transaction():
            self._bounds.lose(first, last, reason)

    def bury(self, first: int, last: int, reason: str) -> None:
        """Makes dead letters of the readings between two places."""
        with self._transaction():
            bounds = (first, last)
            places = self._connection.execute(
                "SELECT place FROM readings WHERE place BETWEEN ? AND ? ORDER BY place", bounds
            ).fetchall()
            self._connection.execute(
                "INSERT OR REPLACE INTO dead (place, epoch, channel, time, kind, value, reason, crc)"
                " SELECT place, epochs.name, channel, time, kind, value, ?, crc FROM readings"
                " JOIN epochs ON epochs.id = place >> 40 WHERE place BETWEEN ? AND ?",
                (reason, *bounds),
            )
            self._remove(first, last)
            for (place,) in places:
                self._bounds.lose(place, place, "dead-letter")
            self._count_dead()

    def letters(self, *, retry: bool = False) -> list[DeadLetter]:
        """The dead letters."""
        return [each for each in read_letters(self._connection) if each.retry or not retry]

    def count(self, first: int, last: int) -> int:
        """How many readings stand between two places."""
        return count_rows(self._connection, first, last)[0]

    def remove(self, first: int, last: int) -> None:
        """Forgets readings, without a loss: they are kept elsewhere."""
        with self._transaction():
            self._remove(first, last)

    def close(self) -> None:
        """Closes it."""
        self._connection.close()

    @contextmanager
    def _transaction(self, *, refresh: bool = True) -> Iterator[None]:
        before = self.stock
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            if refresh:
                self._refresh()
            self._connection.execute("COMMIT")
        except BaseException:
            self.stock = before
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._load_names()
            raise

    def _refresh(self) -> None:
        oldest = self.page(0, LAST, 1)
        losses = self._connection.execute("SELECT coalesce(max(id), 0) FROM losses").fetchone()[0]
        self.stock = replace(self.stock, oldest=oldest[0] if oldest else None, losses=losses)

    def _changed(self, *, held: int = 0, size: int = 0, dropped: int = 0) -> None:
        stock = self.stock
        self.stock = replace(
            stock, held=stock.held + held, bytes=stock.bytes + size, dropped=stock.dropped + dropped
        )

    def _insert(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        packed = [
            columns
            for number, some in by_epoch(rows)
            for columns in sealed(some, self._runs[number], self._channel)
        ]
        if insert(self._connection, packed) == len(rows):
            self._changed(held=len(rows), size=size_of_all([row.value for row in rows]))
        else:
            held, size = count_rows(self._connection)
            self.stock = replace(self.stock, held=held, bytes=size)

    def _begin(self, epoch: Epoch) -> None:
        self._connection.execute(
            "INSERT INTO epochs (id, name, boot, offset, trimmed, attempted) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET offset = coalesce(excluded.offset, offset)",
            (epoch.id, epoch.name, epoch.boot, epoch.offset, max(0, epoch.first - 1), epoch.attempted),
        )
        self._runs.setdefault(epoch.id, epoch.name)

    def _trim(self, first: int, last: int) -> None:
        self._remove(first, last)
        bounds = {"first": first, "last": last}
        for statement in (
            "DELETE FROM losses WHERE first >= :first AND last <= :last",
            "UPDATE losses SET first = :last + 1 WHERE first BETWEEN :first AND :last AND last > :last",
            "DELETE FROM marks WHERE place BETWEEN :first AND :last",
        ):
            self._connection.execute(statement, bounds)
        self._connection.execute(
            "UPDATE epochs SET trimmed = max(trimmed, ?) WHERE id = ?", (last, epoch_of(first))
        )

    def _remove(self, first: int, last: int) -> None:
        held, size = count_rows(self._connection, first, last)
        self._connection.execute("DELETE FROM readings WHERE place BETWEEN ? AND ?", (first, last))
        self._changed(held=-held, size=-size)

    def _take_over(self, found: Found) -> None:
        for loss in found.losses():
            self._bounds.lose(loss.first, loss.last, loss.reason)
        for rows in found.readings():  # backwards behind a broken page
            self._insert(sorted(rows, key=lambda row: row.place))
        # What a damaged loss covers may be there all the same.
        self._connection.execute(
            "DELETE FROM losses WHERE EXISTS (SELECT 1 FROM readings WHERE place BETWEEN first AND last)"
        )
        letters = [self._packed_letter(each) for each in found.letters()]
        self._connection.executemany(_INSERT_LETTER, letters)
        self._count_dead()

    def _check_runs(self) -> None:
        """Every reading has to be of a run that is known."""
        known = [count_rows(self._connection, each.first, each.last)[0] for each in self.known() if each.last]
        if sum(known) != self.stock.held:
            raise DamagedRowError(f"{self.stock.held - sum(known)} readings are of unknown runs")

    def _count_dead(self) -> None:
        self._connection.execute(
            "DELETE FROM dead WHERE place IN (SELECT place FROM dead ORDER BY place DESC LIMIT -1 OFFSET ?)",
            (MOST_DEAD,),
        )
        dead = self._connection.execute("SELECT count(*) FROM dead").fetchone()[0]
        self.stock = replace(self.stock, dead=dead)

    def _with_bounds(self, epoch: Epoch) -> Epoch:
        bounds = {"first": place_of(epoch.id, 0), "last": place_of(epoch.id + 1, 0) - 1}
        found = self._connection.execute(
            "SELECT (SELECT min(place) FROM readings WHERE place BETWEEN :first AND :last),"
            " (SELECT max(place) FROM readings WHERE place BETWEEN :first AND :last),"
            " (SELECT min(first) FROM losses WHERE first BETWEEN :first AND :last),"
            " (SELECT max(last) FROM losses WHERE last BETWEEN :first AND :last)",
            bounds,
        ).fetchone()
        places = [place for place in found if place is not None]
        if not all(isinstance(place, int) for place in places):
            raise DamagedRowError(f"what is held of run {epoch.name} cannot be told")
        return replace(epoch, first=min(places), last=max(places)) if places else epoch

    def _load_names(self) -> None:
        self._names = read_channels(self._connection)
        self._channels = {names: number for number, names in self._names.items()}
        rows = self._connection.execute(_EPOCHS).fetchall()
        self._runs = {each.id: each.name for each in map(checked_epoch, rows)}

    def _channel(self, name: str, unit: str | None) -> int:
        known = self._channels.get((name, unit))
        if known is not None:
            return known
        cursor = self._connection.execute(
            "INSERT INTO channels (name, unit) VALUES (?, ?)", (name, unit or "")
        )
        number = int(cursor.lastrowid or 0)
        self._channels[name, unit] = number
        self._names[number] = (name, unit)
        return number

    def _packed_letter(self, letter: DeadLetter) -> tuple[object, ...]:
        return (
            *next(sealed((letter.row,), letter.epoch, self._channel)),
            letter.epoch,
            letter.reason,
            letter.retry,
        )
