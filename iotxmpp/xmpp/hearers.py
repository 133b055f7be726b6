"""Calls of the handlers that are registered for the same thing."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

log = logging.getLogger("iotxmpp.xmpp")

What = TypeVar("What")
Hearer = Callable[[What], Awaitable[None]]


async def to_each(handlers: Mapping[object, Hearer[What]], what: What) -> None:
    """Calls the handlers of the moment, one after the other; one that raises stops no other."""
    for handler in list(handlers.values()):
        try:
            await handler(what)
        except Exception:
            log.exception("a handler raised on %s", what)
