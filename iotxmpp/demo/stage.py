"""Where the demo plays: a real server with devices in processes, or everything in memory."""

import asyncio
import os
import re
import signal
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId
from iotxmpp.agent.config import load_agent
from iotxmpp.demo.cast import CAST, Role
from iotxmpp.demo.folder import demo_folder
from iotxmpp.link import Link
from iotxmpp.memory import MemoryServer
from iotxmpp.provisioning import Provisioner
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.server.child import Child, Start
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner

STOPS_WITHIN = 5.0
"""Seconds that a device has to end when it is asked to; then it is killed."""

_END_SEEN_WITHIN = 0.5  # a connection's end is seen before the end of its process

_UNREMARKABLE = re.compile(r"[\d-]+ [\d:,]+ (INFO|DEBUG) ")


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

    @property
    def stubborn(self) -> list[str]:
        """Once it has stopped: the devices that did not end when asked, and were killed."""
        ...

    async def server_ended(self) -> str:
        """How the server's process ended; empty while it runs."""
        ...

    async def ended(self) -> dict[str, str]:
        """The devices whose processes are over: how each ended, and its last words."""
        ...

    async def __aenter__(self) -> Self:
        """Starts the server, and adds the devices."""
        ...

    async def start_devices(self) -> None:
        """Starts the devices; the server keeps no readings for a controller that comes after them."""
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
        self._files: dict[DeviceId, Path] = {}
        self._processes: dict[str, Child] = {}
        self._stubborn: list[str] = []

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

    @property
    def stubborn(self) -> list[str]:
        """The devices that had to be killed."""
        return self._stubborn

    async def server_ended(self) -> str:
        """How the server's process ended; empty while it runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SEEN_WITHIN):
                return how_it_ended(await self._running().wait())
        return ""

    async def ended(self) -> dict[str, str]:
        """The devices whose processes are over: how each ended, and its last words."""
        return {
            name: f"{how_it_ended(await process.wait())}: {last_words(self._folder / f'{name}.log')}"
            for name, process in self._processes.items()
            if process.ended
        }

    async def __aenter__(self) -> Self:
        """Starts the server, and adds the devices."""
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(demo_folder())
            self._folder = _private(folder)
            spec = ServerSpec(kind=self._kind, directory=folder / "server")
            self._server = server = await stack.enter_async_context(ServerProcess(spec))
            stack.push_async_callback(self._stop_devices)
            async with XmppLink(server.admin) as link:
                for role in CAST:
                    self._files[role.device] = await _add(
                        role, XmppProvisioner(link), server.admin, server.controller.jid, self._folder
                    )
            self._stack = stack.pop_all()
        return self

    async def start_devices(self) -> None:
        """Starts a process a device."""
        for device, file in self._files.items():
            self._processes[device] = self._start(device, file)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the devices, then the server."""
        await self._stack.aclose()

    async def _stop_devices(self) -> None:
        """Stops them side by side."""
        names, processes = list(self._processes), self._processes.values()
        in_time = await asyncio.gather(*map(stop, processes))
        self._stubborn = [name for name, ended in zip(names, in_time, strict=True) if not ended]

    def _start(self, device: DeviceId, file: Path) -> Child:
        return Child(
            Start(
                command=(sys.executable, "-m", "iotxmpp", "-v", "agent", "run", str(file)),
                env=dict(os.environ),
                folder=self._folder,
                console=self._folder / f"{device}.log",
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
        self._files: dict[DeviceId, Path] = {}
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

    @property
    def stubborn(self) -> list[str]:
        """Nothing here is a process."""
        return []

    async def server_ended(self) -> str:
        """Nothing here is a process."""
        return ""

    async def ended(self) -> dict[str, str]:
        """Nothing here is a process."""
        return {}

    async def __aenter__(self) -> Self:
        """Adds the devices."""
        async with AsyncExitStack() as stack:
            self._folder = _private(stack.enter_context(demo_folder()))
            await self._server.create_account(
                self._controller.jid, self._controller.password.get_secret_value()
            )
            for role in CAST:
                self._files[role.device] = await _add(
                    role, self._server, self._controller, self._controller.jid, self._folder
                )
            self._link = await stack.enter_async_context(self._server.link(self._controller))
            self._stack = stack.pop_all()
        return self

    async def start_devices(self) -> None:
        """Starts an agent a device."""
        for device, file in self._files.items():
            account = Account.load(self._folder / f"{device}.account.toml")
            link = await self._stack.enter_async_context(self._server.link(account))
            await self._stack.enter_async_context(load_agent(file, link=link))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the devices."""
        await self._stack.aclose()


def _private(folder: Path) -> Path:
    """A folder in it that no other user may enter."""
    private = folder / "files"
    private.mkdir(mode=0o700)
    return private


async def stop(process: Child, *, within: float = STOPS_WITHIN) -> bool:
    """Asks a process to end, and kills it if it has not in time; says whether it has."""
    process.terminate()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await process.wait()
                return True
    finally:
        process.kill()
    await process.wait()
    return False


def how_it_ended(code: int) -> str:
    """An exit code for people, or the signal's name."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def last_words(log: Path) -> str:
    """The last line that a device's process logged as a warning or worse, or printed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    told = [line for line in lines if line.strip() and not _UNREMARKABLE.match(line)]
    return told[-1].strip() if told else "it logged no warning"
