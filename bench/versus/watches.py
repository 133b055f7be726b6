"""Looks into the stores of both sides from outside."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 300.0
_POLL = 0.005

OURS = (
    "SELECT coalesce(sum(contiguous), 0) FROM iotxmpp_epochs",
    "SELECT count(*) FROM iotxmpp_readings",
)
PEER = ("SELECT coalesce(max(id), 0) FROM readings", "SELECT count(*) FROM readings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """One store.

    Attributes:
        path: Its file.
        quick: A query that tells quickly how many readings are committed.
        exact: One that counts them.
    """

    path: Path
    quick: str
    exact: str

    def now(self) -> int:
        """How many readings are committed."""
        return self._read(self.quick)

    async def committed(self, readings: int) -> float:
        """Waits until so many are; the moment.

        Raises:
            RuntimeError: There are others than were sent.
        """
        async with asyncio.timeout(PATIENCE):
            while self.now() < readings:  # noqa: ASYNC110  # a file tells nobody
                await asyncio.sleep(_POLL)
        moment = time.monotonic()
        if (found := self._read(self.exact)) != readings:
            raise RuntimeError(f"{self.path.name}: the store has {found} readings of {readings}")
        return moment

    def _read(self, query: str) -> int:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)) as connection:
            return int(connection.execute(query).fetchone()[0])
