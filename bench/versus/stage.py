"""Where the comparisons take place: both servers, the accounts, and a folder for the ends' files."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pydantic import SecretStr

from iotxmpp import Account
from iotxmpp.addresses import DeviceId, DeviceNodes, domain
from iotxmpp.provisioning import NodePolicy
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from versus.broker import Broker, broker

SIDE_BY_SIDE = 8
"""Devices that are added at one time."""

BUSY, PLAIN = DeviceId("busy"), DeviceId("plain-busy")


@dataclass(kw_only=True)
class Stage:
    """Two servers on the loopback interface.

    Attributes:
        server: Prosody.
        mosquitto: The peers' broker.
        folder: For the files of the ends.
        reader: A plain account that reads the plain device's node.
        devices: The devices' accounts by id; those of iotxmpp obey the server's controller, the plain one
            the reader.
    """

    server: ServerProcess
    mosquitto: Broker
    folder: Path
    reader: Account
    devices: dict[DeviceId, Account] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=count)

    def file(self, name: str) -> Path:
        """A file that is not there yet."""
        return self.folder / f"{next(self._numbers)}-{name}"

    async def add(self, names: Iterable[DeviceId], *, controller: str | None = None) -> None:
        """Adds those devices that are not there yet, several at a time."""
        left = [name for name in names if name not in self.devices]
        reader = controller or self.server.controller.jid
        async with XmppLink(self.server.admin) as link:
            provisioner = XmppProvisioner(link)

            async def some() -> None:
                while left:
                    name = left.pop()
                    self.devices[name] = await _added(provisioner, self.server.admin, name, reader)

            await asyncio.gather(*(some() for _ in range(SIDE_BY_SIDE)))


async def _added(provisioner: XmppProvisioner, admin: Account, name: DeviceId, reader: str) -> Account:
    """A new device; `add_device` would list all nodes first, which takes long where there are thousands."""
    password = secrets.token_urlsafe()
    account = admin.model_copy(
        update={
            "jid": f"{name}@{domain(admin.jid)}",
            "password": SecretStr(password),
            "controllers": (reader,),
        }
    )
    nodes = DeviceNodes(service=admin.service, device=name)
    for node, keep in ((nodes.about, 1), (nodes.state, 2), (nodes.readings, 0)):
        policy = NodePolicy(publisher=account.jid, readers=(reader,), keep=keep)
        await provisioner.create_node(node, policy)
    await provisioner.create_account(account.jid, password)
    return account


@asynccontextmanager
async def stage(parent: Path | None = None) -> AsyncIterator[Stage]:
    """Starts both servers; the ends' files go to a folder of `parent`, the system's unless given."""
    async with AsyncExitStack() as stack:
        # Three folders: the servers' own may be other users'.
        home, peer_home, folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iotxmpp-bench-", dir=where)))
            for where in (None, None, parent)
        )
        server = await stack.enter_async_context(
            ServerProcess(ServerSpec(kind=ServerKind.PROSODY, directory=home))
        )
        reader = server.controller.model_copy(
            update={"jid": f"plain@{server.domain}", "password": SecretStr(secrets.token_urlsafe())}
        )
        async with XmppLink(server.admin) as link:
            await XmppProvisioner(link).create_account(reader.jid, reader.password.get_secret_value())
        mosquitto = await stack.enter_async_context(broker(peer_home))
        made = Stage(server=server, mosquitto=mosquitto, folder=folder, reader=reader)
        await made.add([BUSY])
        await made.add([PLAIN], controller=reader.jid)
        yield made
