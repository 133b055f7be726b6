"""A process of a run."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from iotxmpp.crashpoints import VARIABLE
from iotxmpp.server.child import Child, Start

ROOT = Path(__file__).parents[2]
CLEAN_END = 20.0


class Process:
    """A process of the run: started, killed and started again, one at a time."""

    def __init__(self, name: str, command: Sequence[str], console: Path) -> None:
        self.name = name
        self.console = console
        self.lock = asyncio.Lock()
        self.faults: list[str] = []
        self._command = command
        self._child: Child | None = None

    def start(self, *options: str, crash_at: str | None = None) -> None:
        """Starts it."""
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        if crash_at is not None:
            environment[VARIABLE] = crash_at
        self._child = Child(
            Start(
                command=(sys.executable, *self._command, *options),
                env=environment,
                folder=ROOT,
                console=self.console,
            )
        )

    async def wait(self) -> int:
        """Its exit code, once it is over."""
        assert self._child is not None
        return await self._child.wait()

    async def kill(self, *, armed: bool = False) -> None:
        """Ends it with SIGKILL; it is a fault if it has ended by itself, but for one that was armed."""
        assert self._child is not None
        if not (armed and self._child.ended and await self.wait() == -signal.SIGKILL):
            self._check_runs()
        self._child.kill()
        await self._child.wait()

    async def end(self) -> None:
        """Ends it with SIGTERM; it is a fault if it does not end well."""
        assert self._child is not None
        self._check_runs()
        self._child.terminate()
        try:
            async with asyncio.timeout(CLEAN_END):
                code = await self._child.wait()
        except TimeoutError:
            self.faults.append(f"{self.name} did not end in {CLEAN_END:g} s")
            self._child.kill()
            await self._child.wait()
        else:
            if code:
                self.faults.append(f"{self.name} ended with exit code {code}:{self._last_words()}")

    async def destroy(self) -> None:
        """Ends it, whatever it does."""
        if self._child is not None:
            self._child.kill()
            await self._child.wait()

    def _check_runs(self) -> None:
        if self._child is not None and self._child.ended:
            self.faults.append(f"{self.name} had ended by itself:{self._last_words()}")

    def _last_words(self) -> str:
        lines = self.console.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n    {line}" for line in lines)
