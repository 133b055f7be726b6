"""The peers' store: SQLite with the same durability; a thread commits whatever waits at once."""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from versus.peer_reading import PeerReading

_TABLE = (
    "CREATE TABLE readings (id INTEGER PRIMARY KEY, device TEXT NOT NULL, channel TEXT NOT NULL,"
    " value REAL NOT NULL, unit TEXT, time REAL NOT NULL)"
)
_INSERT = "INSERT INTO readings (device, channel, value, unit, time) VALUES (?, ?, ?, ?, ?)"

Committed = Callable[[Sequence[PeerReading]], None]


class PeerStore:
    """Takes readings from any thread.

    Args:
        path: The file, which is made.
        committed: Called in the store's thread with the readings of each commit.
    """

    def __init__(self, path: Path, committed: Committed | None = None) -> None:
        self._path = path
        self._committed = committed
        self._waiting: queue.SimpleQueue[Sequence[PeerReading] | None] = queue.SimpleQueue()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_TABLE)
        connection.close()
        self._thread = threading.Thread(target=self._write, name="store")
        self._thread.start()

    def take(self, readings: Sequence[PeerReading]) -> None:
        """Takes some; they are committed soon."""
        self._waiting.put(readings)

    def close(self) -> None:
        """Commits what is left."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        while (found := self._waiting.get()) is not None:
            batch = list(found)
            ended = self._gather(batch)
            connection.execute("BEGIN")
            connection.executemany(
                _INSERT, [(each.device, each.channel, each.value, each.unit, each.time) for each in batch]
            )
            connection.execute("COMMIT")
            if self._committed is not None:
                self._committed(batch)
            if ended:
                break
        connection.close()

    def _gather(self, batch: list[PeerReading]) -> bool:
        """Adds what else waits; whether the end does."""
        while True:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                return False
            if more is None:
                return True
            batch += more
