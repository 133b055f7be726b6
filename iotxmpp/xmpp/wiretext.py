"""Stanzas as text, as slixmpp writes them, but without its look at each character of each text by itself.

That took a tenth of the work of a round trip. And quotation marks in text stay as they are (XML 1.0 section
2.4): JSON is full of them, and the server's parser stops at each escape.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final
from xml.etree.ElementTree import Element

from iotxmpp.xmpp.stanzas import CLIENT

_XML: Final = "http://www.w3.org/XML/1998/namespace"


def wire_text(stanza: Element) -> str:
    """A message, presence or IQ of a client's stream, as it is sent."""
    parts: list[str] = []
    _write(stanza, CLIENT, parts.append)
    return "".join(parts)


def _write(element: Element, outer: str, write: Callable[[str], None]) -> None:
    namespace, begin, end = _tags(element.tag, outer)
    write(begin)
    for key, value in element.attrib.items():
        known = key if "}" not in key else _attribute(key)
        if known:
            write(f' {known}="{_quoted(value)}"')
    text = element.text
    if text or len(element):
        write(f">{_escaped(text)}" if text else ">")
        for child in element:
            _write(child, namespace, write)
        write(end)
    else:
        write(" />")
    if element.tail:
        write(_escaped(element.tail))


@lru_cache(maxsize=256)  # the same few all the time
def _tags(tag: str, outer: str) -> tuple[str, str, str]:
    """A tag's namespace, and how it begins and ends in an element of another namespace."""
    namespace, name = _named(tag)
    begin = f"<{name}" if namespace == outer else f'<{name} xmlns="{namespace}"'
    return namespace, begin, f"</{name}>"


def _named(tag: str) -> tuple[str, str]:
    """A tag's namespace and name."""
    namespace, _, name = tag.rpartition("}")
    return namespace[1:], name


@lru_cache(maxsize=256)  # the same few all the time
def _attribute(key: str) -> str:
    """The name of an attribute with a namespace: the stream has a prefix for XML's own alone."""
    namespace, name = _named(key)
    return f"xml:{name}" if namespace == _XML else ""


def _quoted(value: str) -> str:
    """The value of an attribute."""
    if '"' in value:
        return _escaped(value).replace('"', "&quot;")
    return _escaped(value)


def _escaped(text: str) -> str:
    """A search of the whole text for each takes a tenth of the time of one look at each character."""
    if "&" in text:  # first: it is in the others' escapes
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    return text
