"""The provisioner's port: what iotxmpp needs to create accounts and nodes, on any server."""

from dataclasses import dataclass
from typing import Protocol

from iotxmpp.addresses import NodeAddress


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePolicy:
    """How a node is set up (XEP-0060 section 16.4.4).

    Access is a whitelist: the publisher, the readers, and nobody else.

    Attributes:
        publisher: The only bare JID that may publish.
        readers: Bare JIDs that may subscribe and read; the provisioner subscribes them.
        keep: How many items the service keeps; 0 for a stream.
    """

    publisher: str
    readers: tuple[str, ...] = ()
    keep: int = 1


class Provisioner(Protocol):
    """Creates accounts and nodes, with an administrator's account; the same on every server.

    Each verb is idempotent: a second call brings what exists to the state that is asked for. An account that
    exists is left alone, unless it is to be renewed.
    """

    async def create_account(self, jid: str, password: str, *, renew: bool = False) -> None:
        """Creates an account (XEP-0133 section 4.1).

        Args:
            jid: Its bare JID.
            password: Its password.
            renew: An account that exists gets this password, instead of an error.

        Raises:
            ConflictError: It exists, and is not to be renewed; nothing was changed.
        """
        ...

    async def delete_account(self, jid: str) -> None:
        """Deletes an account (XEP-0133 section 4.2); one that is not there is no error."""
        ...

    async def create_node(self, node: NodeAddress, policy: NodePolicy) -> None:
        """Creates and configures a node, with its readers (XEP-0060 sections 8.1, 8.2, 8.8 and 8.9)."""
        ...

    async def delete_node(self, node: NodeAddress) -> None:
        """Deletes a node (XEP-0060 section 8.4); one that is not there is no error."""
        ...

    async def nodes(self, service: str) -> list[NodeAddress]:
        """All nodes of a service."""
        ...
