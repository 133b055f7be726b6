"""A process that ends with us, held by a thread of its own and bound to no event loop."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from iotxmpp.server import launcher
from iotxmpp.server.files import Owner


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """How to start a process.

    Attributes:
        command: The program's full path, and its arguments.
        env: Its whole environment.
        folder: Its working directory.
        console: The file that takes what it prints.
        owner: Who it runs as; None for ourselves.
        hold: A file descriptor that it keeps open as long as it lives; None for none.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    folder: Path
    console: Path
    owner: Owner | None = None
    hold: int | None = None


class Child:
    """A running process.

    The kernel counts the end of the *thread* that started a process as its parent's death, so that thread
    waits here for the process's own end.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._process: Future[subprocess.Popen[bytes]] = Future()
        self._ended: Future[int] = Future()
        self._ended.set_running_or_notify_cancel()  # from now on, a waiter's cancellation stays its own
        threading.Thread(target=self._keep, name="iotxmpp-server", daemon=True).start()
        self._process.result()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.result().pid

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._ended.done()

    async def wait(self) -> int:
        """Returns, once it is over, its exit code; negative for a signal."""
        return await asyncio.wrap_future(self._ended)

    def terminate(self) -> None:
        """Asks it to end."""
        if not self.ended:
            self._process.result().terminate()

    def kill(self) -> None:
        """Ends it at once; Erlang's helpers end by themselves when they lose it."""
        if not self.ended:
            self._process.result().kill()

    def _keep(self) -> None:
        try:
            process = self._spawn()
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that asked
            self._process.set_exception(error)
            return
        self._process.set_result(process)
        self._ended.set_result(process.wait())

    def _spawn(self) -> subprocess.Popen[bytes]:
        start = self._start
        user, group = (start.owner.uid, start.owner.gid) if start.owner else (launcher.KEEP, launcher.KEEP)
        with start.console.open("ab") as console:
            return subprocess.Popen(  # noqa: S603  # the command is ours
                [
                    *(sys.executable, "-I", "-S", launcher.__file__),
                    *(str(os.getpid()), str(user), str(group)),
                    *start.command,
                ],
                env=dict(start.env),
                cwd=start.folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=() if start.hold is None else (start.hold,),
                start_new_session=True,  # Ctrl-C is for us: the server ends after its clients
            )
