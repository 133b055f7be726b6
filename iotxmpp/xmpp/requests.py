"""Requests that we send (IQ), and their answers."""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal
from xml.etree.ElementTree import Element

from slixmpp.jid import JID, InvalidJID
from slixmpp.xmlstream.matcher.base import MatcherBase

from iotxmpp.errors import InvalidError, LinkDownError
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.overdue import Overdue, Waiting
from iotxmpp.xmpp.stanzas import IQ, error_of, payload_of


class Matching(MatcherBase):
    """Matches stanzas by a plain function."""

    def match(self, stanza: Any) -> bool:
        """Whether the function says so."""
        return bool(self._criteria(stanza))


class Requests:
    """The requests under way on one client."""

    def __init__(self, client: StrictClient) -> None:
        self._client = client
        self._prefix = f"{secrets.token_hex(8)}-"  # ids that nobody guesses
        self._numbers = itertools.count(1)
        self._waiting: dict[str, Waiting] = {}
        self._overdue = Overdue(self._waiting)
        client.take_iqs(self._take)

    async def call(
        self, to: str, payload: Element, *, kind: Literal["get", "set"], timeout: float
    ) -> Element | None:
        """Sends a request and returns the answer's payload; raises as `Link.call` promises."""
        if not self._client.is_connected():
            raise LinkDownError("the connection was cut")
        asked = _address(to)
        name = f"{self._prefix}{next(self._numbers)}"
        attributes = {"type": kind, "id": name, "to": asked} if asked else {"type": kind, "id": name}
        iq = Element(IQ, attributes)
        iq.append(payload)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Element] = loop.create_future()
        self._waiting[name] = waiting = Waiting(to, asked, timeout, loop.time() + timeout, answer)
        self._overdue.watch(waiting)
        try:
            self._client.send_iq(iq)
            return payload_of(await answer)
        finally:
            self._waiting.pop(name, None)

    def fail_all(self, reason: str) -> None:
        """Fails every request under way: the link went down."""
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(LinkDownError(f"the link went down before the answer: {reason}"))
        self._waiting.clear()
        self._overdue.stop()

    def _take(self, iq: Element) -> Callable[[], None] | None:
        """Takes an answer to one of these."""
        if iq.get("type") not in ("result", "error"):
            return None
        expected = self._waiting.get(iq.get("id", ""))
        if expected is None or not self._is_from(iq.get("from", ""), expected.asked):
            return None
        return partial(_settle, expected.answer, iq)

    def _is_from(self, sender: str, asked: str) -> bool:
        """Whether an answer's sender is the one that was asked (RFC 6120 section 8.1.2.1)."""
        if sender == asked:
            return True
        own = self._client.boundjid
        ours = ("", own.bare, own.host, own.full)
        return sender in ours and asked in ("", own.bare)


def _settle(answer: "asyncio.Future[Element]", iq: Element) -> None:
    if answer.done():
        return
    if iq.get("type") == "error":
        answer.set_exception(error_of(iq))
    else:
        answer.set_result(iq)


@lru_cache(maxsize=256)  # the same few all the time
def _address(text: str) -> str:
    """An address as servers write it."""
    try:
        return str(JID(text))
    except InvalidJID as error:
        raise InvalidError(f"JID {text!r}: {error}") from error
