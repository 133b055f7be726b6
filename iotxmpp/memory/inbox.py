"""A link's handlers of items, presences and messages, and the one task that runs them in order of arrival."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from iotxmpp.addresses import NodeAddress
from iotxmpp.link import Cancel, Item, ItemHandler, Message, MessageHandler, Presence, PresenceHandler
from iotxmpp.registrations import register

log = logging.getLogger("iotxmpp.memory")

T = TypeVar("T")


class Handlers(dict[object, Callable[[T], Awaitable[None]]]):
    """The handlers of one kind of event."""

    def register(self, handler: Callable[[T], Awaitable[None]]) -> Cancel:
        """Adds a handler, once more where it is there already; gives what removes it."""
        return register(self, handler)

    async def run(self, event: T, what: str) -> None:
        """Gives the event to each; what one raises is logged."""
        for key, handler in tuple(self.items()):
            if key in self:
                try:
                    await handler(event)
                except Exception:
                    log.exception("a handler of %s raised", what)


class Inbox:
    """Runs handlers one at a time."""

    def __init__(self) -> None:
        self._open = True
        self._waiting: asyncio.Queue[Item | Presence | Message] = asyncio.Queue()
        self._items: dict[NodeAddress, Handlers[Item]] = {}
        self._unclaimed: Handlers[Item] = Handlers()
        self._presences: Handlers[Presence] = Handlers()
        self._messages: Handlers[Message] = Handlers()

    @property
    def nodes(self) -> list[NodeAddress]:
        """The nodes whose items somebody handles."""
        return [node for node, handlers in self._items.items() if handlers]

    def on_item(self, node: NodeAddress, handler: ItemHandler) -> Cancel:
        """Registers a handler of a node's items."""
        return self._items.setdefault(node, Handlers()).register(handler)

    def on_unclaimed(self, handler: ItemHandler) -> Cancel:
        """Registers a handler of the items of nodes that have none."""
        return self._unclaimed.register(handler)

    def on_presence(self, handler: PresenceHandler) -> Cancel:
        """Registers a handler of presences."""
        return self._presences.register(handler)

    def on_message(self, handler: MessageHandler) -> Cancel:
        """Registers a handler of messages."""
        return self._messages.register(handler)

    def put(self, event: Item | Presence | Message) -> None:
        """Takes an event in; it waits its turn."""
        self._waiting.put_nowait(event)

    def close(self) -> None:
        """Starts no further handler, even where the running one has closed the link itself."""
        self._open = False

    async def work(self) -> None:
        """Runs the handlers, until it is closed or cancelled."""
        self._open = True
        while self._open:
            event = await self._waiting.get()
            if isinstance(event, Presence):
                await self._presences.run(event, f"the presence of {event.sender}")
            elif isinstance(event, Message):
                await self._messages.run(event, f"a message of {event.sender}")
            else:
                handlers = self._items.get(event.node) or self._unclaimed
                await handlers.run(event, f"item {event.id} of {event.node}")
