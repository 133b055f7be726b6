"""The journal in a file: what it has noted survives the process, and a power cut."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from iotxmpp.commands import Outcome
from iotxmpp.errors import StoreError
from iotxmpp.serving.calltable import CallTable, damaged, open_file
from iotxmpp.serving.journal import MOST_CALLS, Now
from iotxmpp.serving.thread import OneThread

MOST_UNWRITTEN = 1000
"""Ends of calls that are kept in memory while the disk fails."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


class SqliteJournal:
    """A journal in a file that one process at a time may use.

    While the file fails, every method raises, and each call tries again. A damaged file is left alone:
    without it nobody knows what ran already.
    """

    def __init__(self, path: Path, *, now: Now = time.time, most: int = MOST_CALLS) -> None:
        """Makes one; nothing is opened yet.

        Args:
            path: Its file.
            now: The clock.
            most: Calls that are remembered.
        """
        self._path = path
        self._now = now
        self._most = most
        self._thread: OneThread | None = None
        self._table: CallTable | None = None
        self._unwritten: dict[tuple[str, str], Outcome | None] = {}
        """How calls ended; None for one that is to be forgotten."""

    async def open(self) -> None:
        """As `Journal.open`."""
        await self._use(lambda _table: None)

    async def cut_off(self) -> list[tuple[str, str, str]]:
        """As `Journal.cut_off`."""

        def take(table: CallTable) -> list[tuple[str, str, str]]:
            taken, table.cut_off = table.cut_off, []
            return taken

        return await self._use(take)

    async def close(self) -> None:
        """Closes the file."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await thread.call(self._close)
            thread.stop()

    async def find(self, caller: str, id: str, fingerprint: str) -> Outcome | None:  # noqa: A002  # the wire's word
        """As `Journal.find`."""
        found = await self._use(lambda table: table.find(caller, id, fingerprint))
        return self._better(caller, id, found)

    async def begin(
        self,
        caller: str,
        id: str,  # noqa: A002  # the wire's word
        name: str,
        fingerprint: str,
        expires: float | None,
    ) -> Outcome | None:
        """As `Journal.begin`."""
        found = await self._use(lambda table: table.begin(caller, id, name, fingerprint, expires))
        return self._better(caller, id, found)

    async def finish(self, caller: str, id: str, outcome: Outcome) -> None:  # noqa: A002  # as above
        """As `Journal.finish`; what cannot be written is kept in memory, and written later."""
        self._unwritten[caller, id] = outcome
        await self._use(lambda _table: None)
        if self._thread is not None:
            self._thread.post(self._checkpoint)

    async def forget(self, caller: str, id: str) -> None:  # noqa: A002  # as above
        """As `Journal.forget`; likewise."""
        self._unwritten[caller, id] = None
        await self._use(lambda _table: None)

    async def cancel(self, caller: str, id: str, name: str) -> Outcome:  # noqa: A002  # as above
        """As `Journal.cancel`."""
        found = await self._use(lambda table: table.cancel(caller, id, name))
        return self._better(caller, id, found) or found

    def _better(self, caller: str, call_id: str, found: Outcome | None) -> Outcome | None:
        """What memory knows of a call whose end could not be written."""
        if found is not None and found.kind == "unknown":
            return self._unwritten.get((caller, call_id)) or found
        return found

    async def _use(self, work: Callable[[CallTable], T]) -> T:
        if self._thread is None:
            self._thread = OneThread("journal")
        try:
            return await self._thread.call(self._on_thread, work)
        except StoreError:  # it says all of it
            raise
        except (sqlite3.Error, OSError) as error:
            raise _explained(self._path, error) from error

    def _on_thread(self, work: Callable[[CallTable], T]) -> T:
        try:
            if self._table is None:
                self._table = self._opened()
            self._write_ends(self._table)
            return work(self._table)
        except sqlite3.DatabaseError as error:
            if _code(error) in _DAMAGED and self._table is not None:
                table, self._table = self._table, None
                table.close()  # so that the file can be moved away, and a new one made
            raise

    def _opened(self) -> CallTable:
        connection = open_file(self._path)
        try:
            return CallTable(connection, now=self._now, most=self._most)
        except BaseException:
            connection.close()
            raise

    def _write_ends(self, table: CallTable) -> None:
        while self._unwritten:
            (caller, call_id), outcome = next(iter(self._unwritten.items()))
            try:
                if outcome is None:
                    table.forget(caller, call_id)
                else:
                    table.finish(caller, call_id, outcome)
            except sqlite3.Error:
                while len(self._unwritten) > MOST_UNWRITTEN:
                    del self._unwritten[next(iter(self._unwritten))]
                raise
            self._unwritten.pop((caller, call_id), None)

    def _checkpoint(self) -> None:
        if self._table is not None:
            with contextlib.suppress(sqlite3.Error):  # the next call shows what is wrong
                self._table.checkpoint()

    def _close(self) -> None:
        table, self._table = self._table, None
        if table is not None:
            try:
                self._write_ends(table)
            except sqlite3.Error as error:
                _LOGGER.warning("journal %s: %s; the ends of some calls are lost", self._path, error)
            table.close()


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _explained(path: Path, error: Exception) -> StoreError:
    code = _code(error)
    if code in _DAMAGED:
        return damaged(path, error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreError(f"journal {path}: another program uses it ({error}); end that program")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"journal {path}: the disk is full; make room")
    return StoreError(f"journal {path}: {error}")
