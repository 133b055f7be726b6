"""The outbox's tables: readings, losses and dead letters, in a file or in memory."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.room import Bounds, count_rows
from iotxmpp.agent.outbox.rows import (
    LAST,
    DeadLetter,
    Epoch,
    Loss,
    Row,
    Stock,
    place_of,
    size_of,
)
from iotxmpp.agent.outbox.schema import FileLock, open_file, open_memory
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.delivery import GapReason
from iotxmpp.readings import ClockQuality, Value

MOST_DEAD = 1000
"""Dead letters that are kept; older ones are forgotten."""

_QUALITIES: tuple[ClockQuality, ...] = ("s", "u", "r")
_COLUMNS = "readings.place, readings.channel, readings.time, readings.kind, readings.value"


def read_letters(connection: sqlite3.Connection) -> list[DeadLetter]:
    """The dead letters of an outbox, the oldest first."""
    rows = connection.execute(
        "SELECT place, name, unit, time, kind, value, epoch, reason, retry FROM dead"
        " JOIN channels ON channels.id = channel ORDER BY place"
    )
    return [
        DeadLetter(
            row=_unpacked(place, name, unit or None, time, kind, value),
            epoch=epoch,
            reason=reason,
            retry=bool(retry),
        )
        for place, name, unit, time, kind, value, epoch, reason, retry in rows
    ]


def _unpacked(  # noqa: PLR0913, PLR0917  # the columns of one row
    place: int, channel: str, unit: str | None, time: float, kind: int, value: Value
) -> Row:
    return Row(place, channel, unit, time, _QUALITIES[kind >> 1], bool(value) if kind & 1 else value)


class SqlOutbox:
    """An outbox in SQLite."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._channels: dict[tuple[str, str | None], int] = {}
        self._names: dict[int, tuple[str, str | None]] = {}
        self._load_channels()
        held, size = count_rows(connection)
        dead = connection.execute("SELECT count(*) FROM dead").fetchone()[0]
        self.stock = Stock(held=held, bytes=size, dead=dead)
        self._bounds = Bounds(connection, limits)
        self._current = 0
        self.epochs()  # damage is to be found now
        connection.execute("DELETE FROM losses WHERE first > last")
        self._refresh()

    def epochs(self) -> list[Epoch]:
        """The epochs of which it holds something, and the current one."""
        rows = self._connection.execute("SELECT id, name, boot, offset FROM epochs ORDER BY id").fetchall()
        return [self._with_bounds(Epoch(id=i, name=n, boot=b, offset=o)) for i, n, b, o in rows]

    def begin(self, epoch: Epoch) -> None:
        """Makes an epoch known; the one with the highest id is the current one."""
        with self._transaction():
            self._begin(epoch)
            self._forget_epochs()

    def forfeit(self, epochs: Iterable[Epoch]) -> None:
        """Makes epochs known all whose places were lost with a damaged file: all of them, or none."""
        with self._transaction():
            for epoch in epochs:
                self._begin(epoch)
                if epoch.first:
                    self._bounds.lose(epoch.first, epoch.last, "corrupt")

    def next_epoch(self) -> int:
        """An id for a new epoch."""
        return int(self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM epochs").fetchone()[0])

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
            cut = self._bounds.make_room(self.stock.bytes, sum(size_of(row.value) for row in rows), rows, now)
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
                "INSERT OR IGNORE INTO dead (place, epoch, channel, time, kind, value, reason, retry)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [self._packed_letter(each) for each in letters],
            )
            self._count_dead()

    def page(self, first: int, last: int, most: int) -> list[Row]:
        """The first readings between two places."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM readings WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?",  # noqa: S608  # fixed text
            (first, last, most),
        ).fetchall()
        return [self._row(*row) for row in rows]

    def losses(self, after: int, most: int) -> list[Loss]:
        """Losses with a greater id."""
        rows = self._connection.execute(
            "SELECT id, first, last, reason FROM losses WHERE id > ? ORDER BY id LIMIT ?", (after, most)
        )
        return [Loss(*row) for row in rows]

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
                "INSERT OR REPLACE INTO dead (place, epoch, channel, time, kind, value, reason)"
                " SELECT place, epochs.name, channel, time, kind, value, ? FROM readings"
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
            self._load_channels()
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
        # After a commit of unknown fate a reading may be there already. One call for all: between two calls
        # the loop's thread would take its turn.
        cursor = self._connection.executemany(
            "INSERT OR IGNORE INTO readings (place, channel, time, kind, value) VALUES (?, ?, ?, ?, ?)",
            [self._packed(row) for row in rows],
        )
        if cursor.rowcount == len(rows):
            self._changed(held=len(rows), size=sum(size_of(row.value) for row in rows))
        else:
            held, size = count_rows(self._connection)
            self.stock = replace(self.stock, held=held, bytes=size)

    def _begin(self, epoch: Epoch) -> None:
        self._connection.execute(
            "INSERT INTO epochs (id, name, boot, offset) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET offset = coalesce(excluded.offset, offset)",
            (epoch.id, epoch.name, epoch.boot, epoch.offset),
        )
        self._current = max(epoch.id, self._current)

    def _trim(self, first: int, last: int) -> None:
        self._remove(first, last)
        bounds = {"first": first, "last": last}
        for statement in (
            "DELETE FROM losses WHERE first >= :first AND last <= :last",
            "UPDATE losses SET first = :last + 1 WHERE first BETWEEN :first AND :last AND last > :last",
            "DELETE FROM marks WHERE place BETWEEN :first AND :last",
        ):
            self._connection.execute(statement, bounds)
        self._forget_epochs()

    def _remove(self, first: int, last: int) -> None:
        held, size = count_rows(self._connection, first, last)
        self._connection.execute("DELETE FROM readings WHERE place BETWEEN ? AND ?", (first, last))
        self._changed(held=-held, size=-size)

    def _forget_epochs(self) -> None:
        empty = [each.id for each in self.epochs() if each.last == 0 and each.id != self._current]
        self._connection.executemany("DELETE FROM epochs WHERE id = ?", [(each,) for each in empty])

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
        return replace(epoch, first=min(places), last=max(places)) if places else epoch

    def _load_channels(self) -> None:
        rows = self._connection.execute("SELECT id, name, unit FROM channels").fetchall()
        self._names = {number: (name, unit or None) for number, name, unit in rows}
        self._channels = {names: number for number, names in self._names.items()}

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

    def _packed(self, row: Row) -> tuple[int, int, float, int, Value]:
        kind = _QUALITIES.index(row.clock) * 2 + isinstance(row.value, bool)
        return row.place, self._channel(row.channel, row.unit), row.time, kind, row.value

    def _packed_letter(self, letter: DeadLetter) -> tuple[object, ...]:
        place, *rest = self._packed(letter.row)
        return (place, letter.epoch, *rest, letter.reason, letter.retry)

    def _row(self, place: int, channel: int, time: float, kind: int, value: Value) -> Row:
        return _unpacked(place, *self._names[channel], time, kind, value)


class MemoryOutbox(SqlOutbox):
    """An outbox in memory: gone with its process."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(open_memory(), limits or Limits(bytes=4 * 2**20))


class DiskOutbox(SqlOutbox):
    """An outbox in a file that one agent at a time may use.

    What a call has written is on the disk when it returns: WAL, synchronous FULL.

    Raises:
        StoreError: The file is of another version, or another program's; nothing was changed.
        sqlite3.Error: It cannot be opened, or is damaged.
        OSError: Its directory cannot be made, or (`BlockingIOError`) another agent uses it.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = FileLock(path)
        try:
            super().__init__(open_file(path), limits or Limits())
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Closes the file and lets others use it."""
        try:
            super().close()
        finally:
            self._lock.release()
