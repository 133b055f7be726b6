"""What is checked before anything leaves a link in memory."""

from copy import deepcopy
from xml.etree.ElementTree import Element, tostring

from iotxmpp.errors import InvalidError
from iotxmpp.link import Presence
from iotxmpp.xmltext import check_element, check_text


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
