"""PubSub (XEP-0060) as a client uses it: publish, subscribe, fetch, list."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Protocol
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.addresses import NodeAddress
from iotxmpp.errors import LinkDownError, NoAnswerError, StanzaError
from iotxmpp.link import REQUEST_TIMEOUT, Cancel, Item, ItemHandler
from iotxmpp.registrations import register
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.hearers import to_each
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.stanzas import PUBSUB, PUBSUB_EVENT

log = logging.getLogger("iotxmpp.xmpp")

_AT_ONCE = 20
_EVENT, _ITEMS, _ITEM = (f"{{{PUBSUB_EVENT}}}{name}" for name in ("event", "items", "item"))


class Call(Protocol):
    """How requests go out: `Link.call`."""

    def __call__(self, to: str, payload: Element, *, kind: Any, timeout: float) -> Awaitable[Element | None]:
        """Sends a request and returns the answer's payload."""
        ...


class PubSub:
    """The nodes that one link publishes to and hears of."""

    def __init__(self, call: Call, inbox: Inbox) -> None:
        self._call = call
        self._inbox = inbox
        self._handlers: dict[NodeAddress, dict[object, ItemHandler]] = {}
        self._unclaimed: dict[object, ItemHandler] = {}

    def attach(self, client: StrictClient) -> None:
        """Hears the notifications that reach a client."""
        client.take_messages(self._take)

    @property
    def subscribed(self) -> list[NodeAddress]:
        """The nodes that have a handler."""
        return list(self._handlers)

    async def publish(self, node: NodeAddress, payload: Element, *, item_id: str, timeout: float) -> None:
        """XEP-0060 section 7.1."""
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        publish = SubElement(pubsub, f"{{{PUBSUB}}}publish", {"node": node.node})
        SubElement(publish, f"{{{PUBSUB}}}item", {"id": item_id}).append(payload)
        await self._call(node.service, pubsub, kind="set", timeout=timeout)

    async def items(self, node: NodeAddress, *, newest: int, timeout: float) -> list[Item]:
        """XEP-0060 section 6.5; the oldest first, whatever order the service gives."""
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        SubElement(pubsub, f"{{{PUBSUB}}}items", {"node": node.node, "max_items": str(newest)})
        try:
            answer = await self._call(node.service, pubsub, kind="get", timeout=timeout)
        except StanzaError as error:
            if error.condition == "feature-not-implemented":  # Prosody's way to say that a node keeps nothing
                return []
            raise
        found = answer.find(f"{{{PUBSUB}}}items") if answer is not None else None
        return [] if found is None else [_item(node, element) for element in found]

    async def subscribe(
        self, node: NodeAddress, handler: ItemHandler, *, subscriber: str, timeout: float
    ) -> Cancel:
        """XEP-0060 section 6.1. The handler is in place before the service is asked."""
        handlers = self._handlers.setdefault(node, {})
        take_back = register(handlers, handler)

        def cancel() -> None:
            take_back()
            if not handlers and self._handlers.get(node) is handlers:
                del self._handlers[node]

        try:
            await self.ask(node, subscriber=subscriber, timeout=timeout)
        except BaseException:
            cancel()
            raise
        return cancel

    def on_unclaimed(self, handler: ItemHandler) -> Cancel:
        """Gives the items of nodes without a handler to this one."""
        return register(self._unclaimed, handler)

    async def ask(self, node: NodeAddress, *, subscriber: str, timeout: float) -> None:
        """Asks the service for the subscription."""
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        SubElement(pubsub, f"{{{PUBSUB}}}subscribe", {"node": node.node, "jid": subscriber})
        await self._call(node.service, pubsub, kind="set", timeout=timeout)

    async def ask_again(self, *, subscriber: str) -> None:
        """Asks for all subscriptions, some at a time: a new session's server may have lost them."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(node: NodeAddress) -> None:
            async with gate:
                try:
                    await self.ask(node, subscriber=subscriber, timeout=REQUEST_TIMEOUT)
                except (StanzaError, NoAnswerError) as error:
                    log.warning("subscribing again to %s: %s", node, error)
                except LinkDownError:
                    log.debug("the link went down while subscribing again to %s", node)

        await asyncio.gather(*(ask(node) for node in self.subscribed))

    async def nodes(self, service: str, *, timeout: float) -> list[NodeAddress]:
        """XEP-0060 section 5.6: even a service that lists its nodes to nobody tells this."""
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        SubElement(pubsub, f"{{{PUBSUB}}}subscriptions")
        answer = await self._call(service, pubsub, kind="get", timeout=timeout)
        found = answer.iter(f"{{{PUBSUB}}}subscription") if answer is not None else iter(())
        names = (each.get("node") for each in found if each.get("subscription") == "subscribed")
        return [NodeAddress(service=service, node=name) for name in dict.fromkeys(names) if name]

    def _take(self, message: Element) -> Callable[[], None] | None:
        """Takes a notification."""
        if message.get("type") == "error" or not _lists(message):
            return None
        return partial(self._notified, message)

    def _notified(self, message: Element) -> None:
        for item in _notified_items(message):
            self._inbox.put(self._hand_on, item)

    async def _hand_on(self, item: Item) -> None:
        handlers = self._handlers.get(item.node) or self._unclaimed
        if not handlers:
            log.debug("an item of %s, which has no handler", item.node)
        await to_each(handlers, item)


def _lists(message: Element) -> list[Element]:
    """Its lists of items; `find` takes nearly three times as long."""
    return [items for event in message if event.tag == _EVENT for items in event if items.tag == _ITEMS]


def _notified_items(message: Element) -> Iterator[Item]:
    service = message.get("from", "")
    for items in _lists(message):
        node = _node(service, items.get("node", ""))
        for element in items:
            if element.tag == _ITEM:
                yield _item(node, element)


@lru_cache(maxsize=256)  # the same few all the time
def _node(service: str, name: str) -> NodeAddress:
    return NodeAddress(service=service, node=name)


def _item(node: NodeAddress, element: Element) -> Item:
    payloads = list(element)
    publisher = element.get("publisher")
    return Item(
        node=node,
        id=element.get("id", ""),
        payload=payloads[0] if len(payloads) == 1 else None,
        publisher=publisher.partition("/")[0].lower() if publisher else None,
        problem=""
        if len(payloads) == 1
        else f"the item holds {len(payloads)} payload elements, expected one",
    )
