"""What is checked before anything leaves a link in memory."""

from copy import deepcopy
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement, tostring

from iotxmpp.errors import InvalidError
from iotxmpp.link import Message, Presence
from iotxmpp.xmltext import check_element, check_text

_OTHERS = ("{http://jabber.org/protocol/pubsub#event}", "{urn:xmpp:carbons:2}", "{urn:xmpp:mam:")
"""What makes a message none of the receiver's own."""

_SILENT = ("{http://jabber.org/protocol/chatstates}", "{urn:xmpp:receipts}", "{urn:xmpp:chat-markers:0}")
"""What travels in messages that say nothing by themselves: XEP-0085, 0184, 0333."""


def checked_copy(element: Element, where: str, max_bytes: int) -> Element:
    """A copy of an element that can travel; the receiver may change it freely.

    Raises:
        InvalidError: XML cannot carry it, or it is over the limit.
    """
    copy = deepcopy(check_element(element, where))
    copy.tail = None
    size = len(tostring(copy, "utf-8"))
    if size > max_bytes:
        raise InvalidError(f"{where}: {size} bytes, over the limit of {max_bytes}; send it in smaller parts")
    return copy


def checked_presence(presence: Presence, max_bytes: int) -> Presence:
    """A copy of a presence that can travel.

    Raises:
        InvalidError: XML cannot carry it, or it is over the limit.
    """
    check_text(presence.text, "presence text")
    if len(presence.text.encode()) > max_bytes:
        raise InvalidError(f"presence text: over the limit of {max_bytes} bytes; shorten it")
    extensions = tuple(checked_copy(it, "presence extension", max_bytes) for it in presence.extensions)
    return Presence(
        available=presence.available, show=presence.show, text=presence.text, extensions=extensions
    )


def checked_message(message: Message, max_bytes: int) -> Message:
    """A copy of a message that can travel.

    Raises:
        InvalidError: XML cannot carry it, or it is over the limit.
    """
    whole = Element("message", {"id": message.id})
    SubElement(whole, "body").text = message.text
    whole.extend(message.extensions)
    copy = checked_copy(whole, "message", max_bytes)
    return replace(message, sender="", sent=None, extensions=tuple(copy[1:]))


def says_something(message: Message) -> bool:
    """Whether it is a message to its receiver: no copy of another, no state of typing, no receipt."""
    tags = [it.tag for it in message.extensions]
    if any(tag.startswith(_OTHERS) for tag in tags):
        return False
    return bool(message.text) or not all(tag.startswith(_SILENT) for tag in tags)
