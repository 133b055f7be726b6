"""Debian's Profanity, a chat client that is not ours, in a terminal that a test types in and reads."""

import asyncio
import os
import re
import shutil
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from iotxmpp.account import Account
from tests.live.site import PATIENCE, until

_WIDE, _HIGH = "250", "100"
_LOOK_EVERY = 0.03

# No pictures and no times beside the lines; it looks for input and stanzas every 10 ms.
_SETTINGS = """\
[ui]
splash=false
roster=false
enc.warn=false
time.console=off
time.chat=off
time.config=off
inpblock=10
inpblock.dynamic=false
[logging]
chlog=false
[notifications]
message=false
sub=false
"""

# A client that crashed stays on the screen, and is seen to be dead.
_TERMINAL = "set -g remain-on-exit on\nset -g status off\n"


class Profanity:
    """A client on its screen.

    Args:
        folder: Its home, and the terminal's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tmux = (_program("tmux"), "-S", str(folder / "tmux"), "-f", str(folder / "tmux.conf"))
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LANG": "C.UTF-8",
        }
        self._server: Process | None = None

    async def start(self) -> None:
        """Starts it in a terminal of its own."""
        settings = self._folder / ".config/profanity"
        settings.mkdir(parents=True)
        (settings / "profrc").write_text(_SETTINGS)
        (self._folder / "tmux.conf").write_text(_TERMINAL)
        self._server = await asyncio.create_subprocess_exec(
            *(*self._tmux, "-D"), env=self._environment, cwd=self._folder, stdin=DEVNULL, stderr=PIPE
        )
        await until((self._folder / "tmux").exists, "tmux listens")
        await self._control("new-session", "-d", "-x", _WIDE, "-y", _HIGH, _program("profanity"))
        await self.shows("Type '/help' to show complete help")

    async def stop(self) -> None:
        """Ends it and its terminal."""
        if self._server is None:
            return
        try:
            pids = await self._control("list-panes", "-a", "-F", "#{pane_pid}")
            await self._control("kill-server")
            async with asyncio.timeout(PATIENCE):
                await self._server.wait()
            await until(lambda: not any(_lives(pid) for pid in pids.split()), "profanity ends")
        finally:
            if self._server.returncode is None:
                self._server.kill()
                await self._server.wait()

    async def log_in(self, account: Account) -> None:
        """Logs in as a person does."""
        await self.write(
            f"/connect {account.jid} server {account.host} port {account.port} tls trust",
            "Enter password:",
        )
        await self.write(account.password.get_secret_value(), f"{account.jid}/.* logged in successfully")

    async def write(self, line: str, *shown: str) -> str:
        """Types a line, and waits until the screen shows all of these patterns; what it shows then."""
        await self._control("send-keys", "-l", "--", line)
        await self._control("send-keys", "Enter")
        return await self.shows(*shown)

    async def ask(self, line: str, *shown: str) -> str:
        """As `write`, on an empty screen."""
        await self.write("/clear")
        return await self.write(line, *shown)

    async def shows(self, *patterns: str) -> str:
        """Waits until the screen shows all of these patterns; what it shows then."""
        deadline = time.monotonic() + PATIENCE
        while True:
            screen = await self.screen()
            missing = [each for each in patterns if not re.search(each, screen, re.MULTILINE)]
            if not missing:
                return screen
            assert "Pane is dead" not in screen, f"it crashed:\n{screen}"
            assert time.monotonic() < deadline, f"{missing} not on the screen:\n{screen}"
            await asyncio.sleep(_LOOK_EVERY)

    async def screen(self) -> str:
        """What the screen shows."""
        lines = (await self._control("capture-pane", "-p")).splitlines()
        return "\n".join(line.rstrip() for line in lines if line.strip())

    async def _control(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._tmux, *words, env=self._environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, f"tmux {words[0]}: {err.decode()}"
        return out.decode()


@asynccontextmanager
async def profanity(account: Account) -> AsyncIterator[Profanity]:
    """A client that has logged in; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="iotxmpp-profanity-") as folder:
        client = Profanity(Path(folder))
        try:
            await client.start()
            await client.log_in(account)
            yield client
        finally:
            await client.stop()


def _lives(pid: str) -> bool:
    return Path("/proc", pid).exists()


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} is missing; run: .ci/setup-servers profanity tmux")
    return path
