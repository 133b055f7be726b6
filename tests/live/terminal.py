"""A user's terminal: starts the program as a user does, and reads what it says."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live.site import processes_about, until

LONGEST = 40.0
"""Seconds that a command may take at most."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int | None
    out: str
    err: str


class Started:
    """A command that runs on; what it has said so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._said = {"out": b"", "err": b""}
        self._readers = [
            asyncio.create_task(self._read("out", process.stdout)),
            asyncio.create_task(self._read("err", process.stderr)),
        ]

    @property
    def out(self) -> str:
        """Its standard output."""
        return self._said["out"].decode(errors="replace")

    @property
    def err(self) -> str:
        """Its standard error."""
        return self._said["err"].decode(errors="replace")

    async def says(self, text: str, *, on: str = "out") -> None:
        """Waits until it has said this."""
        data = text.encode()
        await until(lambda: data in self._said[on] or self.process.returncode is not None, f"{text!r}")
        assert data in self._said[on], f"it ended: {self.out}{self.err}"

    async def end(self, number: signal.Signals | None = None) -> Ended:
        """Sends the signal, if any, and waits for its end."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(LONGEST):
            await asyncio.gather(self.process.wait(), *self._readers)
        assert "Traceback" not in self.err, self.err
        return Ended(code=self.process.returncode, out=self.out, err=self.err)

    async def drop(self) -> None:
        """Ends it at once, if it has not ended."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read(self, name: str, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while data := await stream.read(65536):
            self._said[name] += data


class Terminal:
    """Runs the program, with homes of its own below a folder, and none of our settings.

    Args:
        home: The folder, which the users that servers run as may pass.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "tmp").mkdir(mode=0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "LANG": "C.UTF-8",
            "COLUMNS": "300",
            "PYTHONWARNINGS": "error",
        }

    @property
    def left_behind(self) -> list[str]:
        """Processes and temporary files of commands that ended."""
        files = [str(path) for path in (self.home / "tmp").iterdir()]
        return [*files, *processes_about(str(self.home)).values()]

    @asynccontextmanager
    async def started(self, *arguments: object, **environment: str) -> AsyncIterator[Started]:
        """A command that runs on."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "iotxmpp", *map(str, arguments)),
            env={**self.environment, **environment},
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        started = Started(process)
        try:
            yield started
        finally:
            await started.drop()

    async def run(self, *arguments: object, **environment: str) -> Ended:
        """A command that ends by itself."""
        async with self.started(*arguments, **environment) as started:
            return await started.end()

    async def good(self, *arguments: object, **environment: str) -> str:
        """What a command that ends well prints."""
        ended = await self.run(*arguments, **environment)
        assert ended.code == 0, ended
        return ended.out
