"""The outbox's file: opened, made, or refused."""

import fcntl
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from iotxmpp.agent.outbox.checks import DamagedRowError
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


def is_corrupt(error: Exception) -> bool:
    """Whether an error says that the file's content is damaged, or is no database."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, UnicodeDecodeError) or (code is None and str(error).startswith(_NO_TEXT)):
        return True
    return isinstance(error, sqlite3.DatabaseError) and code is not None and code & 0xFF in _CORRUPT


def is_unusable(error: Exception, path: Path) -> bool:
    """Whether an error while a file was opened says that its content is to blame.

    Besides `is_corrupt`: the tables are not there or have a form that SQLite does not know (it says only
    "error"), or the header forbids to write, while the system allows it.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY:
        files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
        return all(os.access(each, os.W_OK) for each in files if each.exists())
    return is_corrupt(error) or code == sqlite3.SQLITE_ERROR


def open_file(path: Path) -> sqlite3.Connection:
    """Opens the outbox of a path, in the calling thread; makes it if it is not there.

    Raises:
        StrangeFileError: It is of another version, or another program's; nothing was changed.
        sqlite3.Error: It cannot be opened, or is damaged.
        OSError: Its directory cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        _check_version(path)
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
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=BUSY)


def _check_version(path: Path) -> None:
    connection = open_read_only(path)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()
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


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA cache_size = -256")  # KiB; readings come and go at the two ends of a table
    connection.execute("PRAGMA temp_store = MEMORY")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
    elif version == 1:
        connection.executescript(f"BEGIN IMMEDIATE;{_FROM_1}COMMIT;")


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
