"""A site on a real server: accounts, devices and controllers of one test, beside those of others."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from iotxmpp import Controller
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes, device_id, local_part
from iotxmpp.backoff import Backoff
from iotxmpp.server import ServerProcess
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner

PATIENCE = 15.0
"""Seconds after which a test gives up waiting; nothing waits that long where all is well."""

DISCOVER_EVERY = 0.2


async def until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)


def quick() -> Backoff:
    """Delays for links that are back at once."""
    return Backoff(first=0.02, longest=0.1)


class Site:
    """Makes accounts and devices with names that no other test has.

    Args:
        server: The server, shared with other tests.
        folder: Where this test keeps its files.
        admin: An open link of the administrator; one of its own unless given.
    """

    def __init__(self, server: ServerProcess, folder: Path, *, admin: XmppLink | None = None) -> None:
        self.server = server
        self.folder = folder
        self._admin = admin or XmppLink(server.admin)
        self._owns_admin = admin is None
        self.provisioner = XmppProvisioner(self._admin)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._owns_admin:
            await self._stack.enter_async_context(self._admin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def kind(self) -> str:
        """The server's name."""
        return str(self.server.spec.kind)

    @property
    def store(self) -> str:
        """The URL of the controllers' store."""
        return f"sqlite:///{self.folder / 'controller.db'}"

    async def account(self, name: str) -> Account:
        """A new ordinary account."""
        jid, password = f"{name}-{secrets.token_hex(4)}@{self.server.domain}", secrets.token_urlsafe(12)
        await self.provisioner.create_account(jid, password)
        return self.server.controller.model_copy(
            update={"jid": jid, "password": SecretStr(password), "controllers": ()}
        )

    async def device(self, name: str, *controllers: Account) -> Account:
        """A new device that obeys these accounts."""
        return await add_device(
            self.provisioner,
            self.server.admin,
            device_id(f"{name}-{secrets.token_hex(4)}"),
            controllers=tuple(account.jid for account in controllers),
        )

    async def link(self, account: Account) -> XmppLink:
        """An open link, closed with the site."""
        return await self._stack.enter_async_context(XmppLink(account, backoff=quick()))

    def controller(self, account: Account, **more: Any) -> Controller:  # noqa: ANN401  # its own arguments
        """A controller of that account, not yet entered."""
        given: dict[str, Any] = {"store": self.store, "discover_every": DISCOVER_EVERY, **more}
        return Controller(account, **given)

    async def end_session(self, jid: str) -> None:
        """Ends the session of a full JID at the server (XEP-0133 section 4.4)."""
        # ejabberd has a name of its own for the field.
        whose: dict[str, str | list[str]] = {"accountjids": [jid], "accountjid": jid}
        await self.provisioner._administer(jid, "end-user-session", whose)


def name_of(account: Account) -> DeviceId:
    """The device's id."""
    return device_id(local_part(account.jid))


def nodes_of(account: Account) -> DeviceNodes:
    """The device's nodes."""
    return DeviceNodes(service=account.service, device=name_of(account))


def processes_about(text: str) -> dict[int, str]:
    """The processes whose command line or environment holds the text, by id; ourselves left out."""
    return {
        pid: command
        for pid, command, environment in _processes()
        if pid != os.getpid() and (text in command or text in environment)
    }


def _processes() -> Iterator[tuple[int, str, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            texts = [(folder / part).read_bytes().decode(errors="replace") for part in ("cmdline", "environ")]
        except OSError:  # over meanwhile, or another user's
            continue
        if state != "Z":
            yield int(folder.name), texts[0].replace("\0", " "), texts[1]
