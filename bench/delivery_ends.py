"""The processes of `delivery.py`, and its look into the controller's store from outside."""

import asyncio
import json
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from iotxmpp import Account

START = 20.0
PATIENCE = 300.0
_POLL = 0.005
_HERE = Path(__file__).parent


class End:
    """One end of the bench, in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def order(self, order: Mapping[str, Any]) -> None:
        """Tells it what to do."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def answer(self, patience: float = PATIENCE) -> bytes:
        """The next line that it says.

        Raises:
            RuntimeError: It ended.
        """
        async with asyncio.timeout(patience):
            line = b"" if self._process.stdout is None else await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the bench ended too early")
        return line


@asynccontextmanager
async def end(script: str, account: Account, **identity: str) -> AsyncIterator[End]:
    """Starts an end; it is online on entry, and over on exit."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_HERE / script), stdin=PIPE, stdout=PIPE
    )
    started = End(process)
    password = account.password.get_secret_value()
    started.order({"account": {**account.model_dump(mode="json"), "password": password}, **identity})
    try:
        await started.answer(START)
        yield started
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


class StoreWatch:
    """Looks into the controller's store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def runs(self) -> list[tuple[str, int]]:
        """The device's runs: the epoch, and up to which number all of it is committed."""
        return self._read("SELECT epoch, contiguous FROM iotxmpp_epochs ORDER BY id")

    def count(self, epoch: str) -> int:
        """The readings of a run."""
        query = (
            "SELECT count(*) FROM iotxmpp_readings JOIN iotxmpp_epochs ON iotxmpp_epochs.id = epoch_id"
            " WHERE epoch = ?"
        )
        return int(self._read(query, epoch)[0][0])

    async def committed(self, readings: int, *, run: int) -> float:
        """Waits until so many readings of a run, counted from 0, are there; the moment.

        Raises:
            RuntimeError: They are not all there, though all numbers are settled.
        """
        async with asyncio.timeout(PATIENCE):
            while len(runs := self.runs()) <= run or runs[run][1] < readings:  # noqa: ASYNC110  # a file tells nobody
                await asyncio.sleep(_POLL)
        now = time.monotonic()
        if self.count(runs[run][0]) != readings:
            raise RuntimeError(f"the store has {self.count(runs[run][0])} readings of {readings}")
        return now

    def _read(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(query, values).fetchall()
