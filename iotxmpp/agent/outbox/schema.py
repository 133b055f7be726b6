"""The outbox's file: opened, made, or refused."""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from iotxmpp import crashpoints
from iotxmpp.agent.durable import sync_file
from iotxmpp.agent.outbox.checks import DamagedRowError
from iotxmpp.agent.outbox.replacing import beside, discard, go_on, is_there, put, unfinished
from iotxmpp.errors import StoreError

VERSION = 2
"""The version of the tables."""

APPLICATION = 0x696F7478
"""Marks a SQLite file as an outbox of ours: `iotx`."""

BUSY = 5.0
"""Seconds to wait for another program that writes, such as `iotxmpp outbox drop`."""

NEWER = 1000
"""Versions that a newer iotxmpp may have, above our own; a greater number is no version."""

FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What a disk or its content may raise; the last where even SQLite's words for the damage are damaged."""

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_TEXT = "Could not decode to UTF-8"

_UNFINISHED = frozenset(
    {
        sqlite3.SQLITE_READONLY_ROLLBACK,
        sqlite3.SQLITE_READONLY_RECOVERY,
        sqlite3.SQLITE_READONLY_CANTINIT,
        sqlite3.SQLITE_READONLY_CANTLOCK,
    }
)

_TABLES = f"""
CREATE TABLE epochs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, boot TEXT NOT NULL, offset REAL,
                     trimmed INTEGER NOT NULL DEFAULT 0, attempted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, UNIQUE (name, unit));
CREATE TABLE readings (place INTEGER PRIMARY KEY, channel INTEGER NOT NULL, time REAL NOT NULL,
                       kind INTEGER NOT NULL, value NOT NULL, crc INTEGER);
CREATE TABLE losses (id INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, last INTEGER NOT NULL,
                     reason TEXT NOT NULL);
CREATE INDEX losses_by_first ON losses (first);
CREATE INDEX losses_by_last ON losses (last);
CREATE TABLE dead (place INTEGER PRIMARY KEY, epoch TEXT NOT NULL, channel INTEGER NOT NULL,
                   time REAL NOT NULL, kind INTEGER NOT NULL, value NOT NULL, reason TEXT NOT NULL,
                   retry INTEGER NOT NULL DEFAULT 0, crc INTEGER);
CREATE TABLE marks (place INTEGER PRIMARY KEY, time REAL NOT NULL);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


_FROM_1 = """
ALTER TABLE epochs ADD COLUMN trimmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE epochs ADD COLUMN attempted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE readings ADD COLUMN crc INTEGER;
ALTER TABLE dead ADD COLUMN crc INTEGER;
UPDATE epochs SET trimmed = coalesce((SELECT min(place) FROM (
  SELECT min(place) AS place FROM readings WHERE place BETWEEN epochs.id << 40 AND ((epochs.id + 1) << 40) - 1
  UNION ALL SELECT min(first) FROM losses WHERE first BETWEEN epochs.id << 40 AND ((epochs.id + 1) << 40) - 1
)) - 1, 0);
PRAGMA user_version = 2;
"""


class StrangeFileError(StoreError):
    """The file's header names another program or another version; nothing was changed.

    Attributes:
        what: Whose header it is.
        is_newer: It may well be the file of a newer iotxmpp.
    """

    def __init__(self, path: Path, what: str, advice: str, *, is_newer: bool = False) -> None:
        super().__init__(f"outbox {path}: {what}; nothing was changed; {advice}")
        self.what = what
        self.is_newer = is_newer


def check_kind(path: Path) -> None:
    """Leaves alone what is there and is no regular file, such as a pipe, a folder or a device.

    Raises:
        StoreError: It is none; nothing was changed.
        OSError: It cannot be looked at.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    if not is_file:
        raise StoreError(f"outbox {path}: it is no regular file; nothing was changed; give another path")


def is_corrupt(error: Exception) -> bool:
    """Whether an error says that the file's content is damaged, or is no database."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, UnicodeDecodeError) or (code is None and str(error).startswith(_NO_TEXT)):
        return True
    return isinstance(error, sqlite3.DatabaseError) and code is not None and code & 0xFF in _CORRUPT


def is_unusable(error: Exception, path: Path) -> bool:
    """Whether an error while a file was opened says that its content is to blame.

    Besides `is_corrupt`: the tables are not there or have a form that SQLite does not know (it says only
    "error"), or the header forbids to write, while the system allows it. Only the plain code says that of a
    header; its extended forms tell of the system, or of what a kill left, and of no damage.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY:
        files = [beside(path, suffix) for suffix in ("", "-wal", "-shm")]
        return all(os.access(each, os.W_OK) for each in files if each.exists())
    return is_corrupt(error) or (code is not None and code & 0xFF == sqlite3.SQLITE_ERROR)


def is_unfinished(error: Exception) -> bool:
    """Whether an error says that a kill interrupted a change, which only who may write can undo or finish."""
    return getattr(error, "sqlite_errorcode", None) in _UNFINISHED


def open_file(path: Path) -> sqlite3.Connection:
    """Opens the outbox of a path, in the calling thread; makes it if it is not there.

    What a kill interrupted is undone or finished first: by SQLite in the file, else as `replacing` says.

    Raises:
        StrangeFileError: It is of another version, or another program's; nothing was changed.
        sqlite3.Error: It cannot be opened, or is damaged.
        OSError: Its directory cannot be made, or a file in it cannot be moved.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = path.resolve()  # it may be a link, and SQLite keeps what belongs to it beside the file itself
    go_on(path)
    if is_there(path):
        _leave_foreign_journal(path)
        _check_version(path, recover=True)
    if not is_there(path):  # also after SQLite undid that it was begun
        with new_file(path):
            crashpoints.at("outbox.making")
        put(path)
    return _connect(path)


@contextmanager
def new_file(path: Path) -> Iterator[sqlite3.Connection]:
    """Makes a new file for an outbox under another name; after the block it is whole, and on the disk.

    Raises:
        sqlite3.Error: It cannot be made.
        OSError: It cannot, or what is left of an earlier one cannot be removed.
    """
    discard(path)
    try:
        with closing(_connect(unfinished(path))) as connection:
            yield connection
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sync_file(unfinished(path))
    except BaseException:
        with suppress(OSError):
            discard(path)
        raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY)
    try:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        _check_pages(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
        connection.execute("PRAGMA journal_size_limit = 8388608")
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_pages(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DamagedRowError(found.replace("\n", " "))


def open_memory() -> sqlite3.Connection:
    """An outbox in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _set_up(connection)
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens an outbox to look at it, while an agent may be using it.

    Raises:
        StoreError: It is not there, or is no outbox of this version.
        sqlite3.Error: It cannot be opened, or is damaged.
    """
    if not path.exists() or not path.stat().st_size:
        what = "not there" if not path.exists() else "empty"
        raise StoreError(
            f"outbox {path}: {what}; an agent makes it when it next runs, and tells what is lost"
        )
    _check_version(path)
    return open_read_only(path)


def open_read_only(path: Path) -> sqlite3.Connection:
    """Opens any SQLite file to look at it."""
    return _open_there(path, "ro")


def _open_there(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY)


def _leave_foreign_journal(path: Path) -> None:
    """Moves a rollback journal away that SQLite would spoil a whole outbox with.

    An outbox in WAL mode has none but from the switch to that mode, which needs no undoing; any other was
    left by a file that stood there before.
    """
    journal = beside(path, "-journal")
    if not journal.exists():
        return
    with path.open("rb") as file:
        header = file.read(100)
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    if header[18:20] == b"\2\2" and application == APPLICATION and version in {1, VERSION}:
        journal.replace(beside(path, "-journal.stale"))


def _check_version(path: Path, *, recover: bool = False) -> None:
    """Looks whose file it is, without changing it; with `recover` SQLite may undo what a kill interrupted."""
    try:
        application, version, tables = _identity(path, "ro")
    except sqlite3.OperationalError as error:
        if not (recover and is_unfinished(error)):
            raise
        application, version, tables = _identity(path, "rw")
    if (application, version, tables) == (0, 0, 0):
        return
    if application != APPLICATION:
        raise StrangeFileError(path, "a database of another program", "give another path")
    if version not in {1, VERSION}:
        raise StrangeFileError(
            path,
            f"its tables have version {version}, this iotxmpp knows {VERSION}",
            "run the iotxmpp that made it until it is empty, or give another path",
            is_newer=VERSION < version <= VERSION + NEWER,
        )


def _identity(path: Path, mode: Literal["ro", "rw"]) -> tuple[int, int, int]:
    """The application, the version, and the number of tables and indexes."""
    with closing(_open_there(path, mode)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return application, version, tables


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA cache_size = -256")  # KiB; readings come and go at the two ends of a table
    connection.execute("PRAGMA temp_store = MEMORY")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
    elif version == 1:
        connection.executescript(f"BEGIN IMMEDIATE;{_FROM_1}")
        crashpoints.at("outbox.migrated")
        connection.execute("COMMIT")


class FileLock:
    """Keeps two agents from sharing one outbox; gone with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Takes the lock of an outbox's path.

        Raises:
            BlockingIOError: Another agent has it.
            OSError: The lock's file cannot be made.
        """
        self._handle = os.open(
            path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            raise

    def release(self) -> None:
        """Gives it back."""
        os.close(self._handle)
