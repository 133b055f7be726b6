"""Payloads of items: JSON in XEP-0335's `<json/>`, and the decoders of packs by their element's tag."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from iotxmpp.errors import InvalidError

JSON_TAG = "{urn:xmpp:json:0}json"

PackDecoder = Callable[[Element], str]
"""Gives the SenML JSON text that a payload element carries; raises `InvalidError`."""


def json_element(text: str) -> Element:
    """JSON text as an element (XEP-0335)."""
    element = Element(JSON_TAG)
    element.text = text
    return element


def json_text(element: Element) -> str:
    """The JSON text of such an element.

    Raises:
        InvalidError: It is another element, has children, or is empty.
    """
    if element.tag != JSON_TAG:
        raise InvalidError(f"payload {element.tag}: expected {JSON_TAG}")
    if len(element):
        raise InvalidError(f"payload {element.tag}: holds XML elements, expected JSON text")
    if not element.text:
        raise InvalidError(f"payload {element.tag}: empty, expected JSON text")
    return element.text


_PACK_DECODERS: dict[str, PackDecoder] = {JSON_TAG: json_text}


def pack_text(payload: Element) -> str:
    """The SenML JSON text of a readings item's payload.

    Raises:
        InvalidError: No decoder knows this element, or it breaks that form's rules.
    """
    decoder = _PACK_DECODERS.get(payload.tag)
    if decoder is None:
        raise InvalidError(f"payload {payload.tag}: unknown; known are {', '.join(sorted(_PACK_DECODERS))}")
    return decoder(payload)
