"""What a server may say before TLS and the login have shown who it is.

Until then anybody on the way can write into the stream, so stanzas are refused, not acted on.
"""

from base64 import b64decode
from typing import Final
from xml.etree.ElementTree import Element

from iotxmpp.xmpp.sasl import BoundedScram

STREAM: Final = "{http://etherx.jabber.org/streams}"
TLS: Final = "{urn:ietf:params:xml:ns:xmpp-tls}"
SASL: Final = "{urn:ietf:params:xml:ns:xmpp-sasl}"


def objection(element: Element, *, encrypted: bool, mechanism: BoundedScram | None) -> str:
    """What is wrong with an element that came before the login was done; empty for a good one.

    Args:
        element: A child of the stream.
        encrypted: Whether it came within TLS.
        mechanism: The login under way; None before there is one.
    """
    if not element.tag.startswith((STREAM, SASL if encrypted else TLS)):
        return "sends stanzas before TLS and the login; none was acted on"
    if element.tag == f"{STREAM}features":
        return _to_features(element, encrypted=encrypted)
    if element.tag == f"{TLS}failure":
        return "cannot start TLS; nothing secret was sent"
    if element.tag.startswith(SASL):
        return _to_login(element, mechanism)
    return ""


def _to_features(element: Element, *, encrypted: bool) -> str:
    if not encrypted:
        return "" if element.find(f"{TLS}starttls") is not None else "offers no TLS; no password was sent"
    return "" if element.find(f"{SASL}mechanisms") is not None else "offers no login"


def _to_login(element: Element, mechanism: BoundedScram | None) -> str:
    if mechanism is None:
        return "answers a login that was not tried"
    if element.tag == f"{SASL}failure":
        return ""
    try:
        message = b64decode((element.text or "").strip().lstrip("="), validate=True)
    except ValueError:
        return "sends a login message that is no base64"
    return mechanism.objection(message, last=element.tag == f"{SASL}success")
