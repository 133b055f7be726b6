"""The journal's table: a row for each call, in a file or in memory.

A begin waits for the disk, and the caller for it. So it dirties two pages, of the table and of its one index,
in one statement; and the write-ahead log has its size from the start, so that syncing it writes no new size.
"""

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iotxmpp.commands import Outcome
from iotxmpp.errors import StoreError
from iotxmpp.serving.journal import (
    CONFLICT,
    FULL,
    KEEP,
    KEEP_EXPIRED,
    MOST_CALLS,
    MOST_OF_ONE,
    UNKNOWN,
    Now,
)

VERSION = 1
"""The version of the table."""

APPLICATION = 0x696F7463
"""Marks a SQLite file as a journal of ours: `iotc`."""

MOST_BYTES = 32 * 2**20
"""Bytes that results and reasons may take; of more, the oldest are forgotten, and that they ran is not."""

SMALL = 128
"""Bytes of a result that are never worth forgetting."""

TIDY_EVERY = 100
"""Calls after which the table is tidied."""

ROOM_EVERY = 10.0
"""Seconds from one look for room in a full table to the next."""

LOG_BYTES = 512 * 1024
"""Bytes that the write-ahead log is given at the start; what is written in it is then over old bytes."""

CHECKPOINT_EVERY = 30
"""Calls after which what the log holds is best moved into the table, at leisure: before the log is full."""

BUSY = 1.0
"""Seconds to wait for another program that has the file open."""

_TABLES = f"""
CREATE TABLE calls (number INTEGER PRIMARY KEY, caller TEXT NOT NULL, id TEXT NOT NULL,
                    name TEXT NOT NULL, fingerprint TEXT NOT NULL, expires REAL, keep REAL,
                    kind TEXT NOT NULL, result TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT '',
                    condition TEXT NOT NULL DEFAULT '', UNIQUE (caller, id));
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""
_BEGUN = "begun"
_CANCELLED = Outcome(kind="cancelled", text="it was cancelled before it was started")
_SIZE = "length(CAST(result AS BLOB)) + length(CAST(text AS BLOB))"
_TOTAL_SIZE = f"SELECT coalesce(sum({_SIZE}), 0) FROM calls"  # noqa: S608  # of a constant
_SIZES = f"SELECT number, {_SIZE} AS size FROM calls WHERE size > ? ORDER BY number"  # noqa: S608  # likewise


def open_memory() -> sqlite3.Connection:
    """A table in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """Opens the journal of a path, in the calling thread, for this process alone; makes it if need be.

    A file that lost all its tables is not taken for a new one: `made_mark` says that it had them.

    Raises:
        StoreError: It is damaged, of another version, or another program's; nothing was changed.
        sqlite3.Error: It cannot be opened, is damaged, or another process uses it.
        OSError: Its directory cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = made_mark(path)
    if not path.exists():
        mark.unlink(missing_ok=True)  # it tells of a file that was moved away
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _check_version(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        connection.execute("PRAGMA wal_autocheckpoint = 250")
        connection.execute("PRAGMA cache_size = -128")  # KiB: calls come one by one
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
        else:
            # Taken now, not at the first call: another process that uses the file shows at once.
            connection.executescript("BEGIN EXCLUSIVE; COMMIT;")
            _check_pages(connection, path)
        _give_size(path.with_name(f"{path.name}-wal"))
        _set_mark(mark)
    except BaseException:
        connection.close()
        raise
    return connection


def made_mark(path: Path) -> Path:
    """The file beside a journal that says that its tables were made."""
    return path.with_name(f"{path.name}.made")


def damaged(path: Path, why: object) -> StoreError:
    """Without it nobody knows what ran already: it is left alone, and a person decides."""
    return StoreError(
        f"journal {path} is damaged ({why}); move it away, and a new one is made, which does not know"
        " the calls from before"
    )


def _set_mark(mark: Path) -> None:
    if mark.exists():
        return
    with contextlib.suppress(OSError):  # the next start tries again
        with mark.open("wb") as file:
            os.fsync(file.fileno())
        folder = os.open(mark.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Reads all of it; 100,000 calls take about a tenth of a second."""
    found: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise damaged(path, found.splitlines()[-1])


def _give_size(log: Path) -> None:
    """Gives the log of an open database its size; SQLite reads no zeros behind what the log holds."""
    with contextlib.suppress(OSError), log.open("r+b") as file:  # else it grows by and by
        size = file.seek(0, os.SEEK_END)
        try:
            file.write(bytes(max(LOG_BYTES - size, 0)))
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version, application, tables = (
        connection.execute(question).fetchone()[0]
        for question in (
            "PRAGMA user_version",
            "PRAGMA application_id",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    if (application, version, tables) == (0, 0, 0):
        if made_mark(path).exists():
            raise damaged(path, "it is empty, and was not")
        return
    if application != APPLICATION:
        raise StoreError(f"{path}: a database of another program; nothing was changed; give another path")
    if version != VERSION:
        raise StoreError(
            f"{path}: its table has version {version}, this iotxmpp knows {VERSION}; nothing was changed;"
            " run the iotxmpp that made it"
        )


class CallTable:
    """The calls in a database, for one thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        now: Now,
        most: int = MOST_CALLS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Takes over a database; calls that were begun and never finished are unknown now."""
        self._connection = connection
        self._now = now
        self._most = most
        self._most_bytes = most_bytes
        self._since_tidied = 0
        self._since_checkpoint = 0
        self._looked_for_room = float("-inf")
        self._held: Counter[str] = Counter()
        self.cut_off: list[tuple[str, str, str]] = connection.execute(
            "SELECT caller, id, name FROM calls WHERE kind = ?", (_BEGUN,)
        ).fetchall()
        """Caller, id and command of each call that the last process began and never finished."""
        with self._transaction():
            connection.execute(
                "UPDATE calls SET kind = ?, text = ? WHERE kind = ?", (UNKNOWN.kind, UNKNOWN.text, _BEGUN)
            )
            self._tidy()

    def find(self, caller: str, call_id: str, fingerprint: str) -> Outcome | None:
        """As `Journal.find`."""
        row = self._connection.execute(
            "SELECT fingerprint, kind, result, text, condition FROM calls WHERE caller = ? AND id = ?",
            (caller, call_id),
        ).fetchone()
        if row is None:
            return None
        known, kind, result, text, condition = row
        # A cancellation knows no arguments: its row stands for all of them.
        if fingerprint and known and known != fingerprint:
            return CONFLICT
        if kind == _BEGUN:
            return UNKNOWN
        return Outcome(kind=kind, result_json=result, text=text, condition=condition)

    def begin(
        self, caller: str, call_id: str, name: str, fingerprint: str, expires: float | None
    ) -> Outcome | None:
        """As `Journal.begin`."""
        if self._full(caller):
            return self.find(caller, call_id, fingerprint) or FULL
        tidies = self._since_tidied + 1 >= TIDY_EVERY
        with self._transaction() if tidies else contextlib.nullcontext():
            if self._insert(caller, call_id, name, fingerprint, expires):
                return None
        return self.find(caller, call_id, fingerprint)

    def finish(self, caller: str, call_id: str, outcome: Outcome) -> None:
        """As `Journal.finish`."""
        # What acts was on disk before it acted. A power cut may take its end along, a killed process never.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._end(caller, call_id, outcome)
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")

    def forget(self, caller: str, call_id: str) -> None:
        """As `Journal.forget`."""
        gone = self._connection.execute(
            "DELETE FROM calls WHERE caller = ? AND id = ? AND kind = ?", (caller, call_id, _BEGUN)
        )
        self._held[caller] -= gone.rowcount

    def cancel(self, caller: str, call_id: str, name: str) -> Outcome:
        """As `Journal.cancel`."""
        row = self._connection.execute(
            "SELECT name FROM calls WHERE caller = ? AND id = ?", (caller, call_id)
        ).fetchone()
        if row is not None and row[0] != name:
            return CONFLICT
        if row is None and self._full(caller):
            return FULL
        with self._transaction():
            if self._insert(caller, call_id, name, "", None):
                self._end(caller, call_id, _CANCELLED)
                return _CANCELLED
        return self.find(caller, call_id, "") or _CANCELLED

    def checkpoint(self) -> None:
        """Moves what the log holds into the table, if it is time; to be called while nobody waits."""
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def _insert(self, caller: str, call_id: str, name: str, fingerprint: str, expires: float | None) -> bool:
        """Whether the call was not known before."""
        cursor = self._connection.execute(
            "INSERT INTO calls (caller, id, name, fingerprint, expires, kind) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (caller, id) DO NOTHING",
            (caller, call_id, name, fingerprint, expires, _BEGUN),
        )
        self._held[caller] += cursor.rowcount
        self._since_tidied += cursor.rowcount
        self._since_checkpoint += cursor.rowcount
        if self._since_tidied >= TIDY_EVERY:
            self._tidy()
        return cursor.rowcount == 1

    def _end(self, caller: str, call_id: str, outcome: Outcome) -> None:
        now = self._now()
        self._connection.execute(
            "UPDATE calls SET kind = ?, result = ?, text = ?, condition = ?,"
            " keep = max(? + ?, coalesce(expires, 0) + ?) WHERE caller = ? AND id = ?",
            (
                outcome.kind,
                outcome.result_json,
                outcome.text,
                outcome.condition,
                now,  # null while the clock is not kept right, and then `keep` is null too
                KEEP,
                KEEP_EXPIRED,
                caller,
                call_id,
            ),
        )

    def _tidy(self) -> None:
        self._since_tidied = 0
        now = self._now()
        if now is not None:
            self._connection.execute(
                "UPDATE calls SET keep = max(? + ?, coalesce(expires, 0) + ?)"
                " WHERE keep IS NULL AND kind != ?",
                (now, KEEP, KEEP_EXPIRED, _BEGUN),
            )
            self._connection.execute("DELETE FROM calls WHERE keep < ?", (now,))
        self._count()
        self._forget_results()

    def _count(self) -> None:
        self._held = Counter(
            dict(self._connection.execute("SELECT caller, count(*) FROM calls GROUP BY caller").fetchall())
        )

    def _full(self, caller: str) -> bool:
        """Whether there is no room for one more call of this caller, also after what may go went."""
        if not self._exceeds(caller):
            return False
        now, looks = self._now(), time.monotonic()
        if now is not None and looks - self._looked_for_room >= ROOM_EVERY:
            self._looked_for_room = looks
            with self._transaction():
                # Whoever asks for one of these again is told that it expired.
                self._connection.execute(
                    "DELETE FROM calls WHERE kind != ? AND expires < ?", (_BEGUN, now - KEEP_EXPIRED)
                )
                self._tidy()
        return self._exceeds(caller)

    def _exceeds(self, caller: str) -> bool:
        return self._held[caller] >= self._most * MOST_OF_ONE or self._held.total() >= self._most

    def _forget_results(self) -> None:
        total = self._connection.execute(_TOTAL_SIZE).fetchone()[0]
        if total <= self._most_bytes:
            return
        rows = self._connection.execute(_SIZES, (SMALL,)).fetchall()
        forgotten = []
        for number, size in rows:
            if total <= self._most_bytes:
                break
            total -= size
            forgotten.append((number,))
        self._connection.executemany(
            "UPDATE calls SET result = CASE kind WHEN 'done' THEN 'null' ELSE '' END,"
            " text = 'it ended; what it said is not kept any more' WHERE number = ?",
            forgotten,
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
