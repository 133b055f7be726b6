"""The PubSub services of a server in memory: nodes, items, subscriptions; no links."""

from copy import deepcopy
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from iotxmpp.addresses import NodeAddress, bare_jid
from iotxmpp.errors import stanza_error
from iotxmpp.link import Item
from iotxmpp.provisioning import NodePolicy


@dataclass(kw_only=True)
class _Node:
    publisher: str
    readers: frozenset[str]
    keep: int
    items: dict[str, Item] = field(default_factory=dict)
    subscribers: set[str] = field(default_factory=set)

    def lets_read(self, account: str) -> bool:
        return account == self.publisher or account in self.readers

    def trim(self) -> None:
        for item_id in list(self.items)[: max(0, len(self.items) - self.keep)]:
            del self.items[item_id]


def copy_item(item: Item) -> Item:
    """The same item with a payload of its own."""
    return Item(
        node=item.node,
        id=item.id,
        payload=deepcopy(item.payload),
        publisher=item.publisher,
        problem=item.problem,
    )


class PubSub:
    """Every node of a server, by its address. Accounts are bare JIDs."""

    def __init__(self) -> None:
        self._nodes: dict[NodeAddress, _Node] = {}
        self._refusals: dict[NodeAddress, list[str]] = {}

    def create(self, address: NodeAddress, policy: NodePolicy) -> None:
        """Creates a node, or brings it to this policy; the readers are subscribed, and nobody else."""
        publisher = bare_jid(policy.publisher)
        readers = frozenset(bare_jid(reader) for reader in policy.readers)
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = _Node(publisher=publisher, readers=readers, keep=policy.keep)
        node.publisher, node.readers, node.keep = publisher, readers, policy.keep
        node.subscribers = (node.subscribers & {publisher}) | readers
        node.trim()

    def delete(self, address: NodeAddress) -> None:
        """Deletes a node with its items and subscriptions; harmless where there is none."""
        self._nodes.pop(address, None)

    def all_of(self, service: str) -> list[NodeAddress]:
        """Every node of a service."""
        return [address for address in self._nodes if address.service == service]

    def subscribed(self, account: str, service: str) -> list[NodeAddress]:
        """The nodes of a service that an account is subscribed to."""
        return [address for address in self.all_of(service) if account in self._nodes[address].subscribers]

    def forget_account(self, account: str) -> None:
        """Ends an account's subscriptions, and its own service (PEP)."""
        for address, node in list(self._nodes.items()):
            node.subscribers.discard(account)
            if address.service == account:
                del self._nodes[address]

    def refuse_next(self, address: NodeAddress, condition: str, times: int) -> None:
        """Refuses the next publishes to a node."""
        self._refusals[address] = [condition] * times

    def publish(self, account: str, address: NodeAddress, item_id: str, payload: Element) -> list[str]:
        """Takes an item and returns whom to notify of it.

        Raises:
            StanzaError: There is no such node, the account is not its publisher, or it was to be refused.
        """
        node = self._find(address)
        if account != node.publisher:
            raise stanza_error("forbidden", f"{account} may not publish to {address}")
        refusals = self._refusals.get(address)
        if refusals:
            raise stanza_error(refusals.pop(), "refused by the test")
        # An item published again becomes the newest.
        node.items.pop(item_id, None)
        node.items[item_id] = Item(node=address, id=item_id, payload=payload, publisher=account)
        node.trim()
        return sorted(node.subscribers)

    def subscribe(self, account: str, address: NodeAddress) -> None:
        """Subscribes a bare JID; harmless where it is subscribed.

        Raises:
            StanzaError: There is no such node, or the account may not read it.
        """
        self._readable(account, address).subscribers.add(account)

    def newest(self, account: str, address: NodeAddress, count: int) -> list[Item]:
        """Copies of the newest items, the oldest of them first.

        Raises:
            StanzaError: There is no such node, or the account may not read it.
        """
        items = list(self._readable(account, address).items.values())
        return [copy_item(item) for item in items[max(0, len(items) - count) :]]

    def _find(self, address: NodeAddress) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            raise stanza_error("item-not-found", f"no node {address}")
        return node

    def _readable(self, account: str, address: NodeAddress) -> _Node:
        node = self._find(address)
        if not node.lets_read(account):
            raise stanza_error("forbidden", f"{account} may not read {address}")
        return node
