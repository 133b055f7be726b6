"""Which text may travel in XML, and which may reach a terminal.

A character outside XML 1.0's `Char` (production 2) makes a server close the whole stream, and again at every
retry. So text is checked where it enters. XML can carry much that steers a terminal or forges a line; so
text of others is escaped where it is shown.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from xml.etree.ElementTree import Element

from iotxmpp.errors import InvalidError

_NAME = re.compile(r"(?:\{[^{}<>&\"'\s]*\})?[^\W\d][\w.\-]*")
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WRITTEN = frozenset("\u00a0\u2007\u2009\u200c\u200d\u202f\u3000")
"""Spaces and joiners that people write with, although Python does not call them printable."""


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


@lru_cache(maxsize=256)  # the same few all the time
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _check_name(name: object, where: str) -> None:
    if not (isinstance(name, str) and _is_name(name)):
        raise InvalidError(f"{where}: {name!r} is no name of an element or attribute: {{namespace}}name")


def clean_text(text: str, longest: int = 200) -> str:
    """Text for people, made fit for XML: characters that cannot travel replaced, and cut to a length."""
    cleaned = text if text.isprintable() and text.isascii() else _FORBIDDEN.sub("\ufffd", text)
    return cleaned if len(cleaned) <= longest else f"{cleaned[: longest - 1]}…"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable(text: str, *, keep: str = "", escape: Callable[[str], str] = _escape) -> str:
    r"""Text of others, made fit for one line of a log or a terminal.

    Controls (C0, DEL, C1), line separators, bidi controls, lone surrogates and whatever else is not seen are
    shown as escapes such as `\x9b` and `\u202e`, so that the text can neither forge a line nor
    steer a terminal.

    Args:
        text: The text.
        keep: Characters to leave as they are all the same, such as a newline.
        escape: Makes the escape of one character; Python's own unless given.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in _WRITTEN or each in keep else escape(each) for each in text
    )
