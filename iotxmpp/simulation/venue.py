"""Where simulated devices live: a server that is there, a private one, or one in memory."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import domain
from iotxmpp.demo.folder import demo_folder
from iotxmpp.errors import ForbiddenError, NotAllowedError
from iotxmpp.memory import MemoryServer
from iotxmpp.provisioning import Provisioner
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.simulation.folder import DEVICES, claim_home
from iotxmpp.simulation.links import AnyLink, CuttableLink
from iotxmpp.xmpp import XmppLink, XmppProvisioner


@dataclass(frozen=True, kw_only=True)
class Venue:
    """A server to simulate devices at.

    Attributes:
        where: What it is, for people.
        admin: Its administrator.
        folder: Where the simulation keeps its files.
        memory: The server, where it is in this process.
        watch: The account file of a controller, for people who want to watch; None where there is none.
    """

    where: str
    admin: Account
    folder: Path
    memory: MemoryServer | None = None
    watch: Path | None = None

    def link(self, account: Account) -> AnyLink:
        """A device's link, not yet entered."""
        return CuttableLink(account) if self.memory is None else self.memory.link(account)

    @asynccontextmanager
    async def provisioner(self) -> AsyncIterator[Provisioner]:
        """What adds and removes devices, while it is open.

        Raises:
            NotAllowedError: The account is no administrator's.
        """
        if self.memory is not None:
            yield self.memory
            return
        async with XmppLink(self.admin) as link:
            provisioner = XmppProvisioner(link)
            try:
                await provisioner.check_administrator()
            except ForbiddenError as error:
                raise NotAllowedError(
                    f"{self.admin.jid} is no administrator of {domain(self.admin.jid)}: give the"
                    " administrator's account file with --account, or a private --server"
                ) from error
            yield provisioner


@asynccontextmanager
async def in_memory(directory: Path | None) -> AsyncIterator[Venue]:
    """A server in this process, which ends with it; so do its devices, and no folder keeps them."""
    server = MemoryServer()
    admin = Account(jid="admin@localhost", password=SecretStr("in memory"))
    async with AsyncExitStack() as stack:
        folder = directory or stack.enter_context(demo_folder()) / DEVICES
        yield Venue(where="a server in memory", admin=admin, folder=folder, memory=server)


@asynccontextmanager
async def private(kind: ServerKind, directory: Path | None) -> AsyncIterator[Venue]:
    """A private server; in a folder that is given it is kept, else all is removed at the end."""
    if directory is not None:
        claim_home(directory)
    async with AsyncExitStack() as stack:
        home = directory or stack.enter_context(demo_folder())
        spec = ServerSpec(kind=kind, directory=home / "server")
        server = await stack.enter_async_context(ServerProcess(spec))
        yield Venue(
            where=f"{kind} on 127.0.0.1:{server.port}",
            admin=server.admin,
            folder=home / DEVICES,
            watch=server.controller_file,
        )


@asynccontextmanager
async def existing(admin: Account, directory: Path) -> AsyncIterator[Venue]:
    """The server of an administrator's account."""
    yield Venue(where=domain(admin.jid), admin=admin, folder=directory)
