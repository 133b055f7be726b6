"""Messages (RFC 6121 section 5): what people write, and what sessions tell each other without an answer."""

import logging
from copy import deepcopy
from datetime import datetime
from functools import partial
from typing import Any, Final, cast
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import InvalidJID
from slixmpp.stanza import Message as MessageStanza
from slixmpp.xmlstream.handler import Callback

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError, LinkDownError
from iotxmpp.link import Cancel, Message, MessageHandler, MessageKind
from iotxmpp.registrations import register
from iotxmpp.xmltext import check_text
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.hearers import to_each
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.requests import Matching
from iotxmpp.xmpp.stanzas import CLIENT, PUBSUB_EVENT, checked_payload

log = logging.getLogger("iotxmpp.xmpp")

_STANDARD: Final = f"{{{CLIENT}}}"
_DELAY: Final = "{urn:xmpp:delay}delay"
_OTHERS: Final = (f"{{{PUBSUB_EVENT}}}event", "{urn:xmpp:carbons:2}", "{urn:xmpp:mam:")
"""What makes a message none of ours: events, carbons (XEP-0280), an archive's results (XEP-0313)."""

_SILENT: Final = (
    "{http://jabber.org/protocol/chatstates}",
    "{urn:xmpp:receipts}",
    "{urn:xmpp:chat-markers:0}",
    "{urn:xmpp:hints}",
    "{urn:xmpp:sid:0}",
)
"""What travels in messages that say nothing by themselves: XEP-0085, 0184, 0333, 0334, 0359."""


class Messages:
    """Messages on one link."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._handlers: dict[object, MessageHandler] = {}
        self._client: StrictClient | None = None

    def attach(self, client: StrictClient) -> None:
        """Hears the messages that reach a client."""
        self._client = client
        client.register_handler(Callback("iotxmpp messages", Matching(_is_message), self._received))

    def on_message(self, handler: MessageHandler) -> Cancel:
        """Adds a handler."""
        return register(self._handlers, handler)

    def send(self, to: str, message: Message) -> None:
        """Sends a message; raises as `Link.send` promises."""
        if self._client is None or not self._client.is_connected():
            raise LinkDownError("the connection was cut")
        bare_jid(check_text(to, "recipient"))
        stanza = self._client.Message()
        try:
            stanza["to"] = to
        except InvalidJID as error:
            raise InvalidError(f"JID {to!r}: {error}") from error
        stanza.xml.set("type", message.kind)
        if message.id:
            stanza.xml.set("id", message.id)
        if message.text:
            SubElement(stanza.xml, f"{_STANDARD}body").text = message.text
        stanza.xml.extend(deepcopy(message.extensions))
        checked_payload(stanza.xml, f"message to {to}")
        self._client.send(stanza)

    def _received(self, stanza: Any) -> None:
        try:
            message = _message(stanza.xml)
            if self._handlers and (message.text or message.extensions):
                self._inbox.put(partial(to_each, self._handlers), message)
        except Exception:
            log.exception("a message could not be read")


def _is_message(stanza: Any) -> bool:
    return (
        isinstance(stanza, MessageStanza)
        and stanza.xml.get("type") not in ("error", "groupchat")
        and not any(child.tag.startswith(_OTHERS) for child in stanza.xml)
    )


def _message(xml: Element) -> Message:
    text = xml.findtext(f"{_STANDARD}body", "")
    extensions = tuple(child for child in xml if not child.tag.startswith(_STANDARD) and child.tag != _DELAY)
    if not text and all(child.tag.startswith(_SILENT) for child in extensions):
        extensions = ()
    kind = xml.get("type", "")
    return Message(
        sender=xml.get("from", ""),
        text=text,
        kind=cast("MessageKind", kind if kind in ("chat", "headline") else "normal"),
        id=xml.get("id", ""),
        sent=_sent(xml),
        extensions=extensions,
    )


def _sent(xml: Element) -> float | None:
    """The oldest stamp (XEP-0203): a sender can add one, but cannot take back a server's."""
    stamps = (_seconds(delay.get("stamp", "")) for delay in xml.findall(_DELAY))
    return min((stamp for stamp in stamps if stamp is not None), default=None)


def _seconds(stamp: str) -> float | None:
    """A DateTime (XEP-0082) as seconds since 1970; None for what is none."""
    try:
        moment = datetime.fromisoformat(stamp)
        return None if moment.tzinfo is None else max(0.0, moment.timestamp())
    except (ValueError, OverflowError):
        return None
