"""Stream management (XEP-0198) of a client: slixmpp's plugin keeps what it knows, and here it is counted.

What each stanza goes through has to be short: the plugin's own way took a twentieth of a round trip.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp.plugins.xep_0198.stanza import Ack, RequestAck
from slixmpp.stanza import Iq
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

ASKS_FOR_ACK: Final = RequestAck.tag_name()
"""The tag of a server's request for an ack."""

ACK: Final = Ack.tag_name()
"""The tag of a server's ack."""

_NAMESPACE = "urn:xmpp:sm:3"
_REQUEST = f'<r xmlns="{_NAMESPACE}" />'
_HANDLER = "Stream Management Request Ack"
_ACK_WITHIN = 0.01
_MODULO = 2**32
_ASK_AFTER = 100
"""Stanzas; with slixmpp's 5 a publish costs the server a twentieth more, and us a tenth."""

_ASK_AFTER_SIZE = 64 * 1024
"""Characters: what waits for its ack is kept."""


@dataclass(frozen=True, slots=True)
class SentIq:
    """An IQ that waits for its ack: slixmpp's own kind takes a time to make, and few are ever sent again."""

    xml: Element


class Management:
    """Counts stanzas in both directions, and answers requests for acks (XEP-0198 section 4) a little later.

    Many are answered by one ack. Prosody asks after each stanza: an ack for each would overtake the answer to
    a request, and delay it.
    """

    def __init__(self, client: Any) -> None:
        """Takes the answers to requests for acks over from a client's plugin."""
        self._client = client
        self._plugin = client.plugin["xep_0198"]
        self._state = self._plugin.config  # its attributes lead here, too, by a longer way
        self._unasked = self._unasked_size = 0
        self._waiting: asyncio.TimerHandle | None = None
        client.remove_handler(_HANDLER)
        client.register_handler(Callback(_HANDLER, MatchXPath(ASKS_FOR_ACK), lambda _: self.asked()))

    def came(self) -> None:
        """One more stanza came."""
        if self._plugin.enabled_in:
            self._state["handled"] = (self._state["handled"] + 1) % _MODULO

    def goes(self, stanza: Any, size: int) -> str:
        """One more stanza goes, of so many characters; what to write after it: at times a request for an ack.

        Slixmpp writes that before it: a packet of its own, whose ack does not tell of the stanza.
        """
        plugin = self._plugin
        if not plugin.enabled_out:
            return ""
        self._state["seq"] = number = (self._state["seq"] + 1) % _MODULO
        plugin.unacked_queue.append((number, stanza))
        self._unasked += 1
        self._unasked_size += size
        if self._unasked < _ASK_AFTER and self._unasked_size < _ASK_AFTER_SIZE:
            return ""
        self._unasked = self._unasked_size = 0
        return _REQUEST

    def asked(self) -> None:
        """The server asks for an ack."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(_ACK_WITHIN, self._answer)

    def acked(self, ack: Element) -> bool:
        """The server acknowledges what went; False where that makes no sense, and is not taken in."""
        plugin = self._plugin
        try:
            handled = int(ack.get("h", ""))
        except ValueError:
            return False
        waiting = plugin.unacked_queue
        count = (handled - plugin.last_ack) % _MODULO
        if not 0 <= handled < _MODULO or count > len(waiting):
            return False
        for _ in range(count):
            waiting.popleft()
        plugin.last_ack = handled
        return True

    def acknowledge(self) -> None:
        """Acknowledges all that came."""
        transport = self._client.transport
        # One that closes has let go of its TLS already, and raises.
        if self._plugin.enabled_in and transport is not None and not transport.is_closing():
            self._client.send_raw(f'<a xmlns="{_NAMESPACE}" h="{self._plugin.handled}" />')

    def forget_requests(self, handled: int) -> None:
        """Keeps a resumed session from sending requests whose callers were told that the link went down."""
        plugin = self._plugin
        waiting = plugin.unacked_queue
        for _ in range(min((handled - plugin.last_ack) % _MODULO, len(waiting))):
            waiting.popleft()
        plugin.last_ack = handled
        kept = [entry for entry in waiting if not _is_request(entry[1])]
        waiting.clear()
        waiting.extend(kept)

    def _answer(self) -> None:
        self._waiting = None
        self.acknowledge()


def _is_request(stanza: Any) -> bool:
    return isinstance(stanza, Iq | SentIq) and stanza.xml.get("type") in ("get", "set")
