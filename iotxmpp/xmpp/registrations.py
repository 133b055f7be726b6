"""Handlers that can be taken back, each registration by itself."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TypeVar

from iotxmpp.link import Cancel

log = logging.getLogger("iotxmpp.xmpp")

Handler = TypeVar("Handler")
What = TypeVar("What")
Hearer = Callable[[What], Awaitable[None]]


def register(handlers: MutableMapping[object, Handler], handler: Handler) -> Cancel:
    """Adds a handler; the same one may be added twice, and each is taken back by its own cancel."""
    key = object()
    handlers[key] = handler

    def cancel() -> None:
        handlers.pop(key, None)

    return cancel


def to_each(handlers: Mapping[object, Hearer[What]]) -> Hearer[What]:
    """Calls the handlers of the moment, one after the other; one that raises stops no other."""

    async def hand_on(what: What) -> None:
        for handler in list(handlers.values()):
            try:
                await handler(what)
            except Exception:
                log.exception("a handler raised on %s", what)

    return hand_on
