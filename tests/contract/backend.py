"""What the contract needs of a server: three of them have it."""

from typing import Protocol

from iotxmpp.account import Account
from iotxmpp.link import Link
from iotxmpp.provisioning import Provisioner


class Backend(Protocol):
    """A server with its links, and what can happen between them."""

    @property
    def domain(self) -> str:
        """The domain of the accounts."""
        ...

    @property
    def service(self) -> str:
        """The JID of the PubSub service."""
        ...

    @property
    def provisioner(self) -> Provisioner:
        """An administrator's."""
        ...

    @property
    def keeps_messages(self) -> bool:
        """Whether a message to an account without a session waits for its next one (XEP-0160)."""
        ...

    async def account(self, name: str) -> Account:
        """Creates an account; its local part starts with the name and was never used."""
        ...

    def link(self, account: Account) -> Link:
        """A link, not yet entered."""
        ...

    async def cut(self, link: Link) -> None:
        """Severs a link's connection; it comes back by itself, its session resumed or new."""
        ...

    async def renew(self, link: Link) -> None:
        """Ends a link's session at the server; it comes back by itself, with a new one."""
        ...

    async def hold(self, link: Link) -> None:
        """Severs a link's connection, and each new one until `release`."""
        ...

    async def release(self, link: Link) -> None:
        """Ends `hold`, and `stall`."""
        ...

    async def stall(self, link: Link) -> None:
        """Lets no answers reach a link, whose connection stays open, until `release`."""
        ...
