"""Requests that we send (IQ), and their answers."""

import asyncio
import itertools
import secrets
from typing import Any, Literal
from xml.etree.ElementTree import Element

from slixmpp.jid import JID, InvalidJID
from slixmpp.xmlstream.matcher.base import MatcherBase

from iotxmpp.errors import InvalidError, LinkDownError, NoAnswerError
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.stanzas import error_of, payload_of


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
        self._waiting: dict[str, tuple[str, asyncio.Future[Element]]] = {}
        client.take_iqs(self._take)

    async def call(
        self, to: str, payload: Element, *, kind: Literal["get", "set"], timeout: float
    ) -> Element | None:
        """Sends a request and returns the answer's payload; raises as `Link.call` promises."""
        if not self._client.is_connected():
            raise LinkDownError("the connection was cut")
        try:
            asked = str(JID(to))
        except InvalidJID as error:
            raise InvalidError(f"JID {to!r}: {error}") from error
        name = f"{self._prefix}{next(self._numbers)}"
        iq = self._client.Iq(recv=True)  # else it takes a time to make an id of its own
        # Set in the XML: slixmpp's own way takes several times as long.
        iq.xml.attrib = {"type": kind, "id": name} | ({"to": asked} if asked else {})
        iq.xml.append(payload)
        answer: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._waiting[name] = (asked, answer)
        self._client.send(iq)
        try:
            async with asyncio.timeout(timeout):
                return payload_of(await answer)
        except TimeoutError:
            raise NoAnswerError(f"no answer from {to} within {timeout:g} s") from None
        finally:
            self._waiting.pop(name, None)

    def fail_all(self, reason: str) -> None:
        """Fails every request under way: the link went down."""
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(LinkDownError(f"the link went down before the answer: {reason}"))
        self._waiting.clear()

    def _take(self, stanza: Any) -> bool:
        """Takes an answer to one of these."""
        kind = stanza.xml.get("type")
        if kind not in ("result", "error"):
            return False
        expected = self._waiting.get(stanza.xml.get("id", ""))
        if expected is None or not self._is_from(stanza.xml.get("from", ""), expected[0]):
            return False
        answer = expected[1]
        if not answer.done():
            if kind == "error":
                answer.set_exception(error_of(stanza.xml))
            else:
                answer.set_result(stanza.xml)
        return True

    def _is_from(self, sender: str, asked: str) -> bool:
        """Whether an answer's sender is the one that was asked (RFC 6120 section 8.1.2.1)."""
        if sender == asked:
            return True
        own = self._client.boundjid
        ours = ("", own.bare, own.host, own.full)
        return sender in ours and asked in ("", own.bare)
