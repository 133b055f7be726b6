"""Which text may travel in XML.

A character outside XML 1.0's `Char` (production 2) makes a server close the whole stream, and again at every
retry. So text is checked where it enters.
"""

import re
from xml.etree.ElementTree import Element

from iotxmpp.errors import InvalidError

_NAME = re.compile(r"(?:\{[^{}<>&\"'\s]*\})?[^\W\d][\w.\-]*")
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_text(text: str, where: str) -> str:
    """Returns the text if XML can carry it.

    Raises:
        InvalidError: It holds a control character, a surrogate, or U+FFFE or U+FFFF.
    """
    match = _FORBIDDEN.search(text)
    if match is not None:
        raise InvalidError(
            f"{where}: character U+{ord(match[0]):04X} at position {match.start()} cannot travel in XML;"
            " remove it, or encode the text (base64)"
        )
    return text


def check_element(element: Element, where: str) -> Element:
    """Returns the element if XML can carry all of its text and attributes.

    Raises:
        InvalidError: Some text in it cannot travel, a name is none, or an attribute is no text.
    """
    for part in element.iter():
        for name in (part.tag, *part.attrib):
            _check_name(name, where)
        for text in (part.text, part.tail):
            if text:
                check_text(text, where)
        for name, value in part.attrib.items():
            if not isinstance(value, str):
                raise InvalidError(f"{where}: attribute {name} is {type(value).__name__}, not text")
            check_text(value, where)
    return element


def _check_name(name: object, where: str) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise InvalidError(f"{where}: {name!r} is no name of an element or attribute: {{namespace}}name")


def clean_text(text: str, longest: int = 200) -> str:
    """Text for people, made fit for XML: characters that cannot travel replaced, and cut to a length."""
    cleaned = _FORBIDDEN.sub("\ufffd", text)
    return cleaned if len(cleaned) <= longest else f"{cleaned[: longest - 1]}…"
