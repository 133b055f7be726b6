"""What every run stands on: a server, accounts behind proxies of their own, and processes."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest.mock import patch

from iotxmpp.account import Account
from iotxmpp.addresses import device_id
from iotxmpp.backoff import Backoff
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec, ejabberd, prosody
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from tests.chaos.process import Process
from tests.chaos.settings import ChildConfig
from tests.proxy import Proxy


class Stage(ABC):
    """A server, and processes whose connections go through proxies.

    Args:
        kind: Which server.
        folder: Where everything is kept; any user must be able to enter it.
        resume: Seconds for which the server keeps a cut session; None for its own choice.
    """

    def __init__(self, kind: ServerKind, folder: Path, *, resume: int | None) -> None:
        self.server = ServerProcess(ServerSpec(kind=kind, directory=folder / "server"))
        self.faults: list[str] = []
        self._folder = folder
        self._resume = resume
        self._proxies: dict[str, Proxy] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Starts the server and sets everything up; no process is started yet."""
        async with AsyncExitStack() as stack:
            if self._resume is not None:
                stack.enter_context(_resuming_for(self._resume))
            await stack.enter_async_context(self.server)
            await self._set_up(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends everything."""
        for process in self._processes():
            await process.destroy()
        await self._stack.aclose()

    @abstractmethod
    async def _set_up(self, stack: AsyncExitStack) -> None:
        """Makes accounts and processes; the stack undoes what must be undone."""

    @abstractmethod
    def _processes(self) -> Sequence[Process]:
        """All of the run."""

    async def _device_accounts(self, names: Iterable[str]) -> AsyncIterator[tuple[str, Account]]:
        """Makes each device's account and nodes."""
        async with XmppLink(self.server.admin, backoff=Backoff(first=0.05, longest=0.4)) as admin:
            provisioner = XmppProvisioner(admin)
            for name in names:
                house = self.server.controller.jid
                yield (
                    name,
                    await add_device(provisioner, self.server.admin, device_id(name), controllers=(house,)),
                )

    async def _through_proxy(self, name: str, account: Account, stack: AsyncExitStack) -> Path:
        """The file of an account whose connection goes through a proxy."""
        proxy = await stack.enter_async_context(Proxy("127.0.0.1", self.server.port))
        self._proxies[name] = proxy
        path = self._path(f"{name}.account.toml")
        account.model_copy(update={"host": "127.0.0.1", "port": proxy.port, "tls": "starttls"}).save(path)
        return path

    def _process(self, name: str, module: str, config: ChildConfig) -> Process:
        path = self._path(f"{name}.json")
        path.write_text(config.model_dump_json())
        return Process(name, ("-m", module, str(path)), self._path(f"{name}.log"))

    def _found(self) -> list[str]:
        """The faults of the run itself, and of its processes."""
        return self.faults + [fault for process in self._processes() for fault in process.faults]

    def _path(self, name: str) -> Path:
        return self._folder / name


def _resuming_for(seconds: int) -> ExitStack:
    stack = ExitStack()
    for module in (prosody, ejabberd):
        stack.enter_context(patch.object(module, "RESUME_SECONDS", seconds))
    return stack
