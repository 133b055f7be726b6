"""A server in memory, and what a test makes it do."""

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress, bare_jid
from iotxmpp.errors import ConflictError, InvalidError
from iotxmpp.link import Cancel, LinkLimits
from iotxmpp.memory.hub import Hub
from iotxmpp.memory.link import MemoryLink
from iotxmpp.provisioning import NodePolicy

MAX_BYTES = 262_144
"""Bytes of a serialised payload that a link sends at most, unless told otherwise."""


class MemoryServer:
    """Accounts, nodes, rosters and sessions in one process; also the `Provisioner` of them.

    It speaks for its own domain's PubSub service, `pubsub.<domain>`, and keeps accounts of any domain.

    Notifications and presences go to the sessions that are available, as they do on a real server; a link is
    available from its start, unless it announces otherwise.

    Attributes:
        domain: The domain.
        service: The JID of its PubSub service.
    """

    def __init__(self, domain: str = "localhost", *, max_bytes: int = MAX_BYTES) -> None:
        self.domain = domain
        self.service = f"pubsub.{domain}"
        self._hub = Hub(service=self.service, max_bytes=max_bytes)
        self._links: list[MemoryLink] = []

    def link(self, account: Account) -> MemoryLink:
        """A link of an account, not yet entered; an account may have several."""
        link = MemoryLink(account, self._hub)
        self._links.append(link)
        return link

    # The provisioner.

    async def create_account(self, jid: str, password: str, *, renew: bool = False) -> None:
        """Creates an account; one that exists gets the password where it is to be renewed.

        Raises:
            ConflictError: It exists, and is not to be renewed.
        """
        account = bare_jid(jid)
        if account in self._hub.passwords and not renew:
            raise ConflictError("conflict", f"the account {account} exists")
        self._hub.passwords[account] = password

    async def delete_account(self, jid: str) -> None:
        """Deletes an account; its links go down and stay down. One that is not there is no error."""
        account = bare_jid(jid)
        for link in self._find(account):
            link.cut("the account was deleted", resume=False, back_after=None)
        self._hub.forget_account(account)

    async def create_node(self, node: NodeAddress, policy: NodePolicy) -> None:
        """Creates and configures a node.

        Raises:
            UnreachableError: There is no such PubSub service.
        """
        self._hub.check_service(node.service)
        self._hub.pubsub.create(node, policy)

    async def delete_node(self, node: NodeAddress) -> None:
        """Deletes a node; one that is not there is no error."""
        self._hub.pubsub.delete(node)

    async def nodes(self, service: str) -> list[NodeAddress]:
        """All nodes of a service.

        Raises:
            UnreachableError: There is no such PubSub service.
        """
        self._hub.check_service(service)
        return self._hub.pubsub.all_of(service)

    # What a test makes it do.

    def drop(
        self,
        jid: str,
        *,
        reason: str = "connection lost",
        resume: bool = False,
        back_after: float | None = 0.0,
    ) -> None:
        """Takes links down as if cut: what waits for an answer fails at once.

        Args:
            jid: One link's full JID, or a bare JID for every link of the account.
            reason: What `LinkState.reason` says.
            resume: The session goes on when the link is back (XEP-0198), and gets what came meanwhile.
                Otherwise it ends: followers see it leave, and what comes meanwhile is lost.
            back_after: Seconds until the link is back by itself; None leaves it down until `restore`.

        Raises:
            InvalidError: There is no such link.
        """
        for link in self._some(jid):
            link.cut(reason, resume=resume, back_after=back_after)

    def restore(self, jid: str) -> None:
        """Brings dropped links back now; the bare JID is every link of the account.

        Raises:
            InvalidError: There is no such link.
        """
        for link in self._some(jid):
            link.come_back()

    def refuse_publish(
        self, node: NodeAddress, condition: str = "internal-server-error", times: int = 1
    ) -> None:
        """Refuses the next publishes to a node with this stanza error."""
        self._hub.pubsub.refuse_next(node, condition, times)

    def keep_messages(self, *, keep: bool) -> None:
        """Says whether a message to an account without a session waits for its next one (XEP-0160).

        It does, until this is called.
        """
        self._hub.keeps_messages = keep

    def say_limits(self, limits: LinkLimits) -> None:
        """Tells links its limits (XEP-0478) when they next connect; until this is called it says none."""
        self._hub.limits = limits

    def delay(self, seconds: float) -> None:
        """Brings every answer so late; the request itself is carried out at once. 0 ends it."""
        self._hub.delay = seconds

    def silence(self, jid: str) -> Cancel:
        """Loses every answer that an account would get or give, until the result is called.

        The requests are carried out: only who asked learns nothing of it.
        """
        account = bare_jid(jid)
        self._hub.silenced.add(account)
        return lambda: self._hub.silenced.discard(account)

    def _some(self, jid: str) -> list[MemoryLink]:
        links = self._find(jid)
        if not links:
            raise InvalidError(f"no link {jid}: it was never entered, or was closed")
        return links

    def _find(self, jid: str) -> list[MemoryLink]:
        wanted = jid if "/" in jid else bare_jid(jid)
        return [link for link in self._links if link.entered and wanted in (link.jid, bare_jid(link.jid))]
