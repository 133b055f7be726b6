"""Stanzas as plain XML elements: what the port's values look like on the wire, and the way back."""

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.xmlstream import tostring

from iotxmpp.errors import InvalidError, StanzaError, stanza_error
from iotxmpp.xmltext import check_element, clean_text

CLIENT: Final = "jabber:client"
IQ: Final = "{jabber:client}iq"
MESSAGE: Final = "{jabber:client}message"
STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
PUBSUB: Final = "http://jabber.org/protocol/pubsub"
PUBSUB_OWNER: Final = "http://jabber.org/protocol/pubsub#owner"
PUBSUB_EVENT: Final = "http://jabber.org/protocol/pubsub#event"
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
ROSTER: Final = "jabber:iq:roster"
PING: Final = "urn:xmpp:ping"

MAX_PAYLOAD_BYTES: Final = 260_000
"""Prosody and ejabberd close the stream at a stanza of 262,144 bytes; the rest is for the envelope."""

_ERROR = f"{{{CLIENT}}}error"
_WORST_ESCAPE = 6  # a quote travels as &quot;, on from the server
_LONGEST_CHARACTER = 4  # in UTF-8
_MOST_TEXT = 10_000
_CONDITION = re.compile("[a-z][a-z-]*")
_ERROR_TYPES = {
    "bad-request": "modify",
    "not-acceptable": "modify",
    "jid-malformed": "modify",
    "policy-violation": "modify",
    "forbidden": "auth",
    "not-authorized": "auth",
    "registration-required": "auth",
    "subscription-required": "auth",
    "recipient-unavailable": "wait",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
}


def payload_of(stanza: Element) -> Element | None:
    """The one child of an IQ that is no error."""
    for child in stanza:
        if child.tag != _ERROR:
            return child
    return None


def error_of(stanza: Element) -> StanzaError:
    """The error that a stanza of type `error` carries (RFC 6120 section 8.3)."""
    error = stanza.find(_ERROR)
    condition, text, detail = "undefined-condition", "", None
    for child in error if error is not None else ():
        namespace, _, name = child.tag[1:].rpartition("}")
        if namespace != STANZAS:
            detail = child.tag
        elif name == "text":
            text = child.text or ""
        else:
            condition = name
    return stanza_error(condition, text, detail)


def checked_payload(payload: Element, where: str, most: int = MAX_PAYLOAD_BYTES) -> Element:
    """Returns the payload if it can travel, in so many bytes at most.

    Raises:
        InvalidError: Its text cannot travel in XML, or it is too large for the stream.
    """
    check_element(payload, where)
    if _at_most(payload) > most:
        size = len(tostring(payload).encode())
        if size > most:
            raise InvalidError(f"{where}: {size} bytes on the wire; the server takes {most}. Split it")
    return payload


def _at_most(payload: Element) -> int:
    """A bound on its bytes on the wire that is cheaper than writing it out."""
    size = 0
    for part in payload.iter():
        texts = len(part.text or "") + len(part.tail or "")
        for name, value in part.attrib.items():
            texts += len(name) + len(value) + 1
        size += (2 * len(part.tag) + 16) * _LONGEST_CHARACTER + texts * _WORST_ESCAPE
    return size


def error_element(error: StanzaError) -> Element:
    """An error as the child of a stanza; whatever a handler put into it, it can travel."""
    condition = error.condition if _CONDITION.fullmatch(error.condition) else "undefined-condition"
    element = Element(_ERROR, {"type": _ERROR_TYPES.get(condition, "cancel")})
    SubElement(element, f"{{{STANZAS}}}{condition}")
    if error.text:
        SubElement(element, f"{{{STANZAS}}}text").text = clean_text(error.text, _MOST_TEXT)
    if error.detail:
        SubElement(element, error.detail)
    return element
