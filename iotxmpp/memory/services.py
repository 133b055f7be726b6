"""What a link serves: one handler a tag."""

import logging
from collections.abc import Mapping
from xml.etree.ElementTree import Element

from iotxmpp.errors import InvalidError, StanzaError, stanza_error
from iotxmpp.link import PING, Cancel, Request, RequestHandler
from iotxmpp.memory.outgoing import checked_copy
from iotxmpp.memory.session import Outcome
from iotxmpp.xmltext import check_text

log = logging.getLogger("iotxmpp.memory")


class Services:
    """Finds the handler of a request and makes its answer."""

    def __init__(self, max_bytes: int, built_in: Mapping[str, RequestHandler]) -> None:
        self._built_in = built_in
        self._handlers: dict[str, RequestHandler] = {}
        self._max_bytes = max_bytes

    def register(self, tag: str, handler: RequestHandler) -> Cancel:
        """Serves a tag.

        Raises:
            InvalidError: It is served already.
        """
        if tag in self._handlers or tag in self._built_in:
            raise InvalidError(f"requests {tag} are served already; cancel that handler first")

        async def registered(request: Request) -> Element | None:
            return await handler(request)

        self._handlers[tag] = registered

        def cancel() -> None:
            if self._handlers.get(tag) is registered:
                del self._handlers[tag]

        return cancel

    async def answer(self, request: Request) -> Outcome:
        """The answer's payload, or the error that the caller gets."""
        if request.payload.tag == PING:
            return None
        handler = self._handlers.get(request.payload.tag) or self._built_in.get(request.payload.tag)
        if handler is None:
            return stanza_error("service-unavailable", f"nothing here serves {request.payload.tag}")
        try:
            try:
                payload = await handler(request)
            except StanzaError as error:
                check_text(error.text, "error text")
                return stanza_error(error.condition, error.text, error.detail)
            if payload is None:
                return None
            return checked_copy(payload, f"answer to {request.payload.tag}", self._max_bytes)
        except Exception:
            log.exception("the handler of %s raised", request.payload.tag)
            return stanza_error("internal-server-error")
