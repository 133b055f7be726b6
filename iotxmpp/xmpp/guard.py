"""Limits on what a server may send or pass on: no DTD, bounded stanzas, bounded depth.

XMPP forbids comments, processing instructions and DTDs (RFC 6120 section 11.1); expat would expand a DTD's
entities without bound. A DTD can stand only before the stream's root, so only that prolog is searched.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from iotxmpp.errors import IotxmppError

MAX_STANZA_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
"""Servers pass on what is nested deeper, whoever sent it: such a stanza loses all that is in it."""
DEEPEST_PASSED_ON = 60_000
"""No stanza of the size that servers take is deeper; the stream of a server that sends such a one is cut."""
MAX_ELEMENTS = 100_000
"""In one stanza; each takes a hundred times the memory of its bytes."""

TOO_DEEP = "{urn:iotxmpp:guard:0}too-deep"
"""Stands in a stanza for what was nested too deep."""

_STANZA = 2
"""The depth of a stanza; the stream itself has 1."""

_MAX_PROLOG = 1024
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml\s[^<>]*\?>)?\s*<[A-Za-z]")
_ENCODING = re.compile(rb"<\?xml[^>]*\sencoding\s*=\s*[\"'](?P<name>[^\"']*)")
_UNFINISHED = re.compile(rb"\xef\xbb?|(?:\xef\xbb\xbf)?\s*(?:<\?[^<>]*|<\?xml\s[^<>]*\?>\s*<?|<?)")

_LOGGER = logging.getLogger("iotxmpp.xmpp")


class StreamRefusedError(IotxmppError):
    """The server sent what no XMPP server may send; the stream is to be cut."""


class StreamGuard:
    """Stands between the socket and the parser of one stream."""

    def __init__(
        self, parser: "XMLPullParser[Any]", *, max_bytes: int = MAX_STANZA_BYTES, max_depth: int = MAX_DEPTH
    ) -> None:
        self._parser = parser
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._prolog = b""
        self._open = False
        self._depth = 0
        self._deepest = 0
        self._bytes = 0
        self._elements = 0

    def feed(self, data: bytes | str) -> None:
        """Checks and passes on more of the stream.

        Raises:
            StreamRefusedError: It breaks a limit.
        """
        raw = data.encode() if isinstance(data, str) else data
        if not self._open:
            raw = self._checked_prolog(raw)
        self._bytes += len(raw)
        if self._bytes > self._max_bytes:
            raise StreamRefusedError(f"the server sent a stanza of more than {self._max_bytes} bytes")
        self._parser.feed(raw)

    def read_events(self) -> Iterator[tuple[str, Element]]:
        """The events of the stream and of its stanzas, checked before the stream acts on them.

        Those of what is in a stanza are checked, too, and not passed on: nobody waits for them.

        Raises:
            StreamRefusedError: Elements are nested too deep or too many, or it is no XML.
        """
        depth, deepest, elements = self._depth, self._deepest, self._elements  # quicker than attributes
        try:
            for event, element in cast("Iterator[tuple[str, Element]]", self._parser.read_events()):
                if event == "start":
                    elements += 1
                    depth += 1
                    if elements > MAX_ELEMENTS:
                        raise StreamRefusedError(
                            f"the server sent a stanza of more than {MAX_ELEMENTS} elements"
                        )
                    if depth > deepest:
                        deepest = _checked_depth(depth)
                    if depth <= _STANZA:
                        yield event, element
                else:
                    if depth == _STANZA:
                        self._check_stanza(element, deepest)
                        elements = deepest = 0
                    depth -= 1
                    if depth < _STANZA:
                        yield event, element
        except ParseError as error:
            raise StreamRefusedError(f"the server's stream is no XML: {error}") from error
        finally:
            self._depth, self._deepest, self._elements = depth, deepest, elements

    def _check_stanza(self, stanza: Element, deepest: int) -> None:
        """A stanza is whole."""
        if deepest > self._max_depth:
            _LOGGER.warning("%s sent elements nested too deep", stanza.get("from"))
            stanza[:] = [Element(TOO_DEEP)]
        self._bytes = 0

    def _checked_prolog(self, raw: bytes) -> bytes:
        """What may be parsed: nothing before it is clear that the root follows."""
        self._prolog += raw
        if _PROLOG.match(self._prolog):
            encoding = _ENCODING.match(self._prolog.lstrip(b"\xef\xbb\xbf \t\r\n"))
            if encoding and encoding["name"].lower() != b"utf-8":
                raise StreamRefusedError("the server's stream is not UTF-8")
            self._open = True
            return self._prolog
        if len(self._prolog) > _MAX_PROLOG or not _UNFINISHED.fullmatch(self._prolog):
            raise StreamRefusedError("the server's stream does not start like XMPP (a DTD, or no XML)")
        return b""


def _checked_depth(depth: int) -> int:
    """An element is deeper than any before it in its stanza."""
    if depth > DEEPEST_PASSED_ON:
        raise StreamRefusedError(f"the server sent elements nested more than {DEEPEST_PASSED_ON} deep")
    return depth
