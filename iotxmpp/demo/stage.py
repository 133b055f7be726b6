"""Where the demo plays: a real server with devices in processes, or everything in memory."""

import os
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.agent.config import load_agent
from iotxmpp.demo.cast import CAST, Role
from iotxmpp.link import Link, Provisioner
from iotxmpp.memory import MemoryServer
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.server.child import Child, Start
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A device's process that is over, and its last words."""

    device: str
    words: str


class Stage(Protocol):
    """The demo's server and devices, from enter to exit."""

    @property
    def controller(self) -> Account:
        """Whom the devices obey."""
        ...

    @property
    def where(self) -> str:
        """What plays, for people."""
        ...

    @property
    def folder(self) -> Path:
        """A folder for the controller's own files."""
        ...

    def link(self) -> Link | None:
        """An open link for the controller; None for one of its own."""
        ...

    def ended(self) -> list[Ended]:
        """The devices whose processes are over."""
        ...

    async def __aenter__(self) -> Self:
        """Starts the server and the devices."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops them, and leaves nothing behind."""
        ...


async def _add(role: Role, provisioner: Provisioner, admin: Account, controller: str, folder: Path) -> Path:
    """Adds a device; returns its agent.toml."""
    account = await add_device(provisioner, admin, role.device, controllers=(controller,))
    account.save(folder / f"{role.device}.account.toml")
    file = folder / f"{role.device}.toml"
    file.write_text(role.agent_file(f"{role.device}.account.toml"), encoding="utf-8")
    return file


class ServerStage:
    """A private server, and each device in a process of its own."""

    def __init__(self, kind: ServerKind) -> None:
        self._kind = kind
        self._stack = AsyncExitStack()
        self._folder = Path()
        self._server: ServerProcess | None = None
        self._processes: dict[str, Child] = {}

    @property
    def controller(self) -> Account:
        """Whom the devices obey."""
        return self._running().controller

    @property
    def where(self) -> str:
        """What plays."""
        return (
            f"{self._kind} on 127.0.0.1:{self._running().port}, {len(CAST)} devices in processes of their own"
        )

    @property
    def folder(self) -> Path:
        """The demo's folder."""
        return self._folder

    def link(self) -> Link | None:
        """The controller connects by itself."""
        return None

    def ended(self) -> list[Ended]:
        """The devices whose processes are over."""
        return [
            Ended(device=name, words=_last_words(self._folder / f"{name}.log"))
            for name, process in self._processes.items()
            if process.ended
        ]

    async def __aenter__(self) -> Self:
        """Starts the server, adds the devices, starts their processes."""
        async with AsyncExitStack() as stack:
            self._folder = _folder(stack, "iotxmpp-demo-")
            spec = ServerSpec(kind=self._kind, directory=_folder(stack, "iotxmpp-demo-server-"))
            self._server = server = await stack.enter_async_context(ServerProcess(spec))
            async with XmppLink(server.admin) as link:
                for role in CAST:
                    file = await _add(
                        role, XmppProvisioner(link), server.admin, server.controller.jid, self._folder
                    )
                    self._processes[role.device] = process = self._start(role, file)
                    stack.push_async_callback(_stop, process)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the devices, then the server."""
        for process in self._processes.values():
            process.terminate()
        await self._stack.aclose()

    def _start(self, role: Role, file: Path) -> Child:
        return Child(
            Start(
                command=(sys.executable, "-m", "iotxmpp", "-v", "agent", "run", str(file)),
                env=dict(os.environ),
                folder=self._folder,
                console=self._folder / f"{role.device}.log",
            )
        )

    def _running(self) -> ServerProcess:
        if self._server is None:
            raise RuntimeError("the stage is not entered")
        return self._server


class MemoryStage:
    """Everything in this process: no server, no sockets."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._folder = Path()
        self._server = MemoryServer()
        self._controller = Account(jid="controller@localhost", password=SecretStr("in memory"))
        self._link: Link | None = None

    @property
    def controller(self) -> Account:
        """Whom the devices obey."""
        return self._controller

    @property
    def where(self) -> str:
        """What plays."""
        return f"a server in memory, {len(CAST)} devices, all in one process"

    @property
    def folder(self) -> Path:
        """The demo's folder."""
        return self._folder

    def link(self) -> Link | None:
        """An open link to the server in memory."""
        return self._link

    def ended(self) -> list[Ended]:
        """Nothing here is a process."""
        return []

    async def __aenter__(self) -> Self:
        """Adds and starts the devices."""
        async with AsyncExitStack() as stack:
            self._folder = _folder(stack, "iotxmpp-demo-")
            await self._server.create_account(
                self._controller.jid, self._controller.password.get_secret_value()
            )
            for role in CAST:
                file = await _add(role, self._server, self._controller, self._controller.jid, self._folder)
                account = Account.load(self._folder / f"{role.device}.account.toml")
                link = await stack.enter_async_context(self._server.link(account))
                await stack.enter_async_context(load_agent(file, link=link))
            self._link = await stack.enter_async_context(self._server.link(self._controller))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the devices."""
        await self._stack.aclose()


def _folder(stack: AsyncExitStack, prefix: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def _stop(process: Child) -> None:
    process.terminate()
    await process.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"
