"""Requests that others send us (IQ), and our answers."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.eager import EagerTask
from iotxmpp.errors import InvalidError, StanzaError
from iotxmpp.link import COMMANDS, Cancel, Request, RequestHandler
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.guard import MAX_DEPTH, TOO_DEEP
from iotxmpp.xmpp.stanzas import IQ, PING, ROSTER, checked_payload, error_element, payload_of

log = logging.getLogger("iotxmpp.xmpp")

MOST_AT_ONCE = 100
"""Requests served side by side; one more is told to come again."""

_COMMAND = f"{{{COMMANDS}}}command"
_LONGEST_ECHO = 1000
_ANSWERED_BY_PLUGINS = {f"{{{PING}}}ping", f"{{{ROSTER}}}query"}


class Services:
    """What one link serves; it outlives the link's clients.

    Args:
        built_in: What the link answers by itself, by tag.
    """

    def __init__(self, built_in: Mapping[str, RequestHandler]) -> None:
        self._built_in = built_in
        self._handlers: dict[str, RequestHandler] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._early: list[Callable[[], None]] | None = None
        self._stopped = False

    def attach(self, client: StrictClient, is_up: Callable[[], bool]) -> None:
        """Serves the requests that reach a client."""
        self._stopped = False

        def serve(iq: Element) -> None:
            busy = self._busy >= MOST_AT_ONCE  # many can come at once, before the first task ends
            self._busy += not busy
            # At once: what needs not wait is answered without a turn of the loop.
            eager = EagerTask(self._serve(client, iq, is_up, busy=busy), name="request")
            self._running.add(eager.task)
            eager.task.add_done_callback(partial(self._ended, busy=busy))
            eager.begin()

        def take(iq: Element) -> Callable[[], None] | None:
            if not _is_request(iq):
                return None
            deed = partial(serve, iq)
            return deed if self._early is None else partial(self._early.append, deed)

        client.take_iqs(take)

    def hold(self) -> None:
        """A session begins: requests wait until it is up; those of the session before are void."""
        self._early = []

    def release(self) -> None:
        """Serves what waited."""
        early, self._early = self._early or [], None
        for take in early:
            take()

    def add(self, tag: str, handler: RequestHandler) -> Cancel:
        """Serves payloads of a tag; raises as `Link.serve` promises."""
        if tag in self._handlers or tag in self._built_in:
            raise InvalidError(f"{tag} is served already")
        self._handlers[tag] = handler

        def cancel() -> None:
            if self._handlers.get(tag) is handler:
                del self._handlers[tag]

        return cancel

    async def stop(self) -> None:
        """Cancels what is being served; what still comes is not answered."""
        self._stopped = True
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _handler(self, tag: str) -> RequestHandler | None:
        return self._handlers.get(tag) or self._built_in.get(tag)

    def _ended(self, task: asyncio.Task[None], *, busy: bool) -> None:
        self._running.discard(task)
        self._busy -= not busy

    async def _serve(
        self, client: StrictClient, iq: Element, is_up: Callable[[], bool], *, busy: bool
    ) -> None:
        attributes = {"type": "result", "id": iq.get("id", "")}
        if sender := iq.get("from"):
            attributes["to"] = sender
        reply = Element(IQ, attributes)
        try:
            answer = await self._answer(iq, busy=busy)
            if answer is not None:
                reply.append(checked_payload(answer, "the answer"))
        except StanzaError as error:
            _make_error(reply, error, iq)
        except Exception:
            log.exception("serving a request of %s raised", iq.get("from"))
            fault = StanzaError("internal-server-error", "the request could not be served")
            _make_error(reply, fault, iq)
        if is_up():
            client.send_iq(reply)
        else:  # what comes while the stream is closed is no loss that anybody could prevent
            level = logging.DEBUG if self._stopped else logging.WARNING
            log.log(level, "the link is down; the answer to %s was not sent", iq.get("from"))

    async def _answer(self, xml: Element, *, busy: bool) -> Element | None:
        payload = payload_of(xml)
        if payload is not None and payload.tag == TOO_DEEP:
            raise StanzaError("bad-request", f"elements are nested more than {MAX_DEPTH} deep")
        handler = self._handler(payload.tag) if payload is not None else None
        if payload is None or handler is None:
            raise StanzaError("service-unavailable", "nothing here serves such a request")
        if busy:
            raise StanzaError("resource-constraint", "too many requests at once; try again")
        kind: Literal["get", "set"] = "get" if xml.get("type") == "get" else "set"
        return await handler(Request(sender=xml.get("from", ""), kind=kind, payload=payload))


def _is_request(iq: Element) -> bool:
    if iq.get("type") not in ("get", "set"):
        return False
    payload = payload_of(iq)
    return payload is None or payload.tag not in _ANSWERED_BY_PLUGINS


def _make_error(reply: Element, error: StanzaError, request: Element) -> None:
    reply[:] = []
    reply.set("type", "error")
    command = request.find(_COMMAND)
    if command is not None:
        # Clients such as slixmpp find the session that an error belongs to by this alone.
        said = {key: command.get(key, "") for key in ("node", "sessionid")}
        SubElement(
            reply, _COMMAND, {key: text for key, text in said.items() if 0 < len(text) <= _LONGEST_ECHO}
        )
    reply.append(error_element(error))
