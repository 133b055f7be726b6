"""Handlers that can be taken back, each registration by itself."""

from collections.abc import MutableMapping
from typing import TypeVar

from iotxmpp.link import Cancel

Handler = TypeVar("Handler")


def register(handlers: MutableMapping[object, Handler], handler: Handler) -> Cancel:
    """Adds a handler; the same one may be added twice, and each is taken back by its own cancel."""
    key = object()
    handlers[key] = handler

    def cancel() -> None:
        handlers.pop(key, None)

    return cancel
