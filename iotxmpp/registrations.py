"""Handlers of a link that can be taken back, each registration by itself."""

import logging
from collections.abc import MutableMapping
from typing import TypeVar

from iotxmpp.link import Cancel, LinkState, StateHandler

Handler = TypeVar("Handler")


def register(handlers: MutableMapping[object, Handler], handler: Handler) -> Cancel:
    """Adds a handler; the same one may be added twice, and each is taken back by its own cancel."""
    key = object()
    handlers[key] = handler

    def cancel() -> None:
        handlers.pop(key, None)

    return cancel


class StateHandlers:
    """The handlers of a link's state.

    Args:
        log: Where it is said that one of them raised.
        account: The bare JID whose link it is.
    """

    def __init__(self, log: logging.Logger, account: str) -> None:
        self._logger = log
        self._account = account
        self._handlers: dict[object, StateHandler] = {}

    def register(self, handler: StateHandler) -> Cancel:
        """Adds a handler."""
        return register(self._handlers, handler)

    def tell(self, state: LinkState) -> None:
        """Calls each; one that raises stops no other."""
        for handler in list(self._handlers.values()):
            try:
                handler(state)
            except Exception:
                self._logger.exception("a handler of the state of %s raised", self._account)
