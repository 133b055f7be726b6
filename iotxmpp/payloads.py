"""Payloads of items: JSON in XEP-0335's `<json/>` or compressed in `<pack/>`, and the decoders by tag."""

import binascii
import zlib
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from iotxmpp.errors import InvalidError
from iotxmpp.xmltext import check_text

JSON_TAG = "{urn:xmpp:json:0}json"

PACK_TAG = "{urn:iotxmpp:pack:0}pack"
"""The element whose text is the base64 (RFC 4648 section 4) of the zlib stream (RFC 1950) of UTF-8 JSON."""

MAX_TEXT: Final = 256 * 1024
"""Bytes of JSON that an item may carry, in UTF-8 and decompressed."""

PACK_FROM: Final = 128
"""Characters of JSON from which on it travels compressed; `bench/compact.py` measures what that saves."""

LEVEL: Final = 5
"""zlib's level: higher ones save hardly a byte more, and take a device much longer."""

_WINDOW: Final = 12
_MEMORY: Final = 6
"""The window of 4 KiB (`wbits`), and what zlib takes besides (`memLevel`).

It usually takes 268 KB, most of a small pack's time; with this no pack is a hundredth larger.
"""

_RAW_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))
_ESCAPES = {'"': 5, "'": 5, "&": 4, "<": 3, ">": 3}  # what `&quot;` and its like add

PackDecoder = Callable[[Element], str]
"""Gives the SenML JSON text that a payload element carries; raises `InvalidError`."""


class TooLargeError(InvalidError):
    """More JSON than an item may carry."""


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


def pack_element(text: str) -> Element:
    """JSON text in the form that costs least: a small one as `<json/>`, others compressed as `<pack/>`.

    Args:
        text: The JSON; what makes it good JSON is not looked at.

    Raises:
        TooLargeError: It is over `MAX_TEXT`; send less in one item.
        InvalidError: It has characters that XML cannot carry.
    """
    if len(text) < PACK_FROM:
        return json_element(text)
    data = _checked(text, "pack").encode()
    if len(data) > MAX_TEXT:
        raise TooLargeError(
            f"pack: {len(data)} bytes of JSON, at most {MAX_TEXT} are taken; send smaller items"
        )
    _check_controls(data)
    element = Element(PACK_TAG)
    element.text = binascii.b2a_base64(compressed(data), newline=False).decode("ascii")
    return element


def compressed(data: bytes, level: int = LEVEL) -> bytes:
    """A zlib stream (RFC 1950) of JSON, as a pack carries it."""
    stream = zlib.compressobj(level, zlib.DEFLATED, _WINDOW, _MEMORY)
    return stream.compress(data) + stream.flush()


def packed_text(element: Element) -> str:
    """The JSON text that a `<pack/>` carries; takes no more memory than `MAX_TEXT`, whatever is in it.

    Raises:
        TooLargeError: It holds more than `MAX_TEXT`.
        InvalidError: It has attributes or children, or its text is no base64 of one whole zlib stream of
            UTF-8.
    """
    where = f"payload {element.tag}"
    if element.attrib:
        raise InvalidError(f"{where}: attribute {min(element.attrib)[:80]!r} is unknown; leave it out")
    if len(element):
        raise InvalidError(f"{where}: holds XML elements, expected base64 of a zlib stream")
    if not element.text:
        raise InvalidError(f"{where}: empty, expected base64 of a zlib stream")
    data = _inflated(_from_base64(element.text, where), where)
    _check_controls(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"{where}: byte {error.start} of its JSON is no UTF-8; encode it as UTF-8"
        ) from error
    return _checked(text, where)


def _checked(text: str, where: str) -> str:
    """The text, if XML could carry it; ASCII is looked at by `_check_controls`, which is quicker."""
    return text if text.isascii() else check_text(text, where)


def _from_base64(text: str, where: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise InvalidError(f"{where}: no base64 ({error}); use RFC 4648 section 4, without spaces") from error


def _inflated(data: bytes, where: str) -> bytes:
    """What the one zlib stream holds, which is not empty."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, MAX_TEXT + 1)
    except zlib.error as error:
        raise InvalidError(
            f"{where}: no zlib stream ({error}); use RFC 1950, without a dictionary"
        ) from error
    if len(inflated) > MAX_TEXT:
        raise TooLargeError(f"{where}: over {MAX_TEXT} bytes of JSON; send smaller items")
    if not stream.eof:
        raise InvalidError(f"{where}: its zlib stream is cut off; send all of it")
    if stream.unused_data:
        raise InvalidError(f"{where}: {len(stream.unused_data)} bytes after its zlib stream; send one stream")
    if not inflated:
        raise InvalidError(f"{where}: its zlib stream is empty, expected JSON text")
    return inflated


def _check_controls(data: bytes) -> None:
    """Refuses controls that no JSON holds as they are, and no XML and no database carries."""
    if len(data.translate(None, _RAW_CONTROLS)) != len(data):
        raise InvalidError("pack: its JSON has control characters; write them as escapes, such as \\u0000")


_PACK_DECODERS: dict[str, PackDecoder] = {JSON_TAG: json_text, PACK_TAG: packed_text}


def pack_text(payload: Element) -> str:
    """The SenML JSON text of a readings item's payload, in either form.

    Raises:
        TooLargeError: It is compressed, and over `MAX_TEXT` bytes.
        InvalidError: No decoder knows this element, or it breaks that form's rules.
    """
    decoder = _PACK_DECODERS.get(payload.tag)
    if decoder is None:
        raise InvalidError(f"payload {payload.tag}: unknown; known are {', '.join(sorted(_PACK_DECODERS))}")
    return decoder(payload)


def wire_size(element: Element) -> int:
    """The bytes that a payload with text alone takes on the wire from the server on, which escapes quotes."""
    text = element.text or ""
    escaped = sum(text.count(character) * more for character, more in _ESCAPES.items())
    namespace, _, name = element.tag[1:].rpartition("}")
    return (
        len(text.encode(errors="replace")) + escaped + len(namespace) + 2 * len(name) + len('< xmlns=""></>')
    )
