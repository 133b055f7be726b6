"""A disk under the outbox that counts what is written and fails when a test says so."""

import sqlite3
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.agent.outbox import damage as damage_module
from iotxmpp.agent.outbox.rows import Epoch, Row
from iotxmpp.agent.outbox.salvage import Salvage
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox

NOW = 1_790_000_000.0


class Disk:
    """The disk under the outbox: counts what is written, and fails when a test says so.

    Attributes:
        commits: The readings of each commit.
        begun: When each of them began, by the monotonic clock.
        slow: Seconds that each commit takes besides, and each opening of a file.
        fault: What it fails with.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits: list[int] = []
        self.begun: list[float] = []
        self.slow = 0.0
        self.fault: Exception | None = None
        write, absorb, page = DiskOutbox.write, DiskOutbox.absorb, DiskOutbox.page
        start = DiskOutbox.__init__
        disk = self

        def counted(outbox: DiskOutbox, rows: Sequence[Row] = (), **more: Any) -> None:  # noqa: ANN401  # passed on
            begun = time.monotonic()
            disk.check()
            time.sleep(disk.slow)
            write(outbox, rows, **more)
            if rows:
                disk.commits.append(len(rows))
                disk.begun.append(begun)

        def absorbed(outbox: DiskOutbox, *more: Any) -> None:  # noqa: ANN401  # passed on
            disk.check()
            absorb(outbox, *more)

        def paged(outbox: DiskOutbox, *more: int) -> list[Row]:
            if (
                disk.fault is not None
                and getattr(disk.fault, "sqlite_errorcode", 0) == sqlite3.SQLITE_CORRUPT
            ):
                disk.check()
            return page(outbox, *more)

        def started(outbox: DiskOutbox, path: Path, limits: Limits | None = None) -> None:
            if not isinstance(disk.fault, sqlite3.DatabaseError):
                disk.check()
            time.sleep(disk.slow)
            start(outbox, path, limits)

        def unreadable(_: Path | None, expected: Sequence[Epoch]) -> Salvage:
            return Salvage(None, expected)

        monkeypatch.setattr(damage_module, "Salvage", unreadable)
        monkeypatch.setattr(DiskOutbox, "write", counted)
        monkeypatch.setattr(DiskOutbox, "absorb", absorbed)
        monkeypatch.setattr(DiskOutbox, "page", paged)
        monkeypatch.setattr(DiskOutbox, "__init__", started)

    @property
    def gaps(self) -> list[float]:
        """Seconds from the beginning of each commit to that of the next."""
        return [later - earlier for earlier, later in pairwise(self.begun)]

    def check(self) -> None:
        if self.fault is not None:
            fault = self.fault
            if getattr(fault, "sqlite_errorcode", 0) == sqlite3.SQLITE_CORRUPT:
                self.fault = None  # the next file is a good one
            raise fault

    def fill(self) -> None:
        self.fault = sqlite3.OperationalError("database or disk is full")

    def damage(self) -> None:
        self.fault = sqlite3.DatabaseError("database disk image is malformed")
        self.fault.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
