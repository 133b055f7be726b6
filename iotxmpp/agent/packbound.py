"""How large a pack may be on the wire: what the server says, and what it refused."""

from typing import Final

from iotxmpp.errors import LinkDownError, StanzaError
from iotxmpp.link import LinkLimits

MOST_BYTES: Final = 60_000
"""Bytes of a pack where the server says nothing: the smallest usual limit of a stanza is 64 KiB."""

ENVELOPE: Final = 2_144
"""Bytes of a stanza that are not the pack: addresses, ids and the name of a node."""

LEAST_BYTES: Final = 10_000 - ENVELOPE
"""Bytes of a pack that every server takes (RFC 6120 section 13.12)."""

_TOO_LARGE = "policy-violation"
"""XEP-0478 section 3 and RFC 6120 section 4.9.3.14; Prosody and ejabberd end the stream with it."""

_PAYLOAD_TOO_BIG = "{http://jabber.org/protocol/pubsub#errors}payload-too-big"
"""XEP-0060 section 7.1.3.4."""


class PackBound:
    """Follows what the server takes; the bound shrinks at a refusal, and never below `LEAST_BYTES`.

    It grows again when a session says other limits: a server whose limits nobody changed takes no more than
    it did, and each attempt would cost a session.

    Args:
        most: Bytes of a pack that the device makes at most, whatever the server takes.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._limits = LinkLimits()
        self._bytes = most
        self._taken = 0

    @property
    def bytes(self) -> int:
        """Bytes of a pack's payload on the wire (`iotxmpp.payloads.wire_size`) at most."""
        return self._bytes

    def session(self, limits: LinkLimits) -> None:
        """A session began, with these limits."""
        if limits == self._limits:
            return
        self._limits = limits
        said = limits.stanza_bytes
        self._bytes = self._most if said is None else max(LEAST_BYTES, min(self._most, said - ENVELOPE))
        self._taken = 0

    def accepted(self, size: int) -> None:
        """The server took a pack of so many bytes: what is no larger is not what it refuses."""
        self._taken = max(self._taken, size)

    def refused(self, size: int) -> None:
        """A pack of so many bytes was too large for the server, or ended the stream as if it were."""
        if size <= LEAST_BYTES:
            return  # that is a matter of something else
        known = self._taken if self._taken < size else 0
        self._bytes = min(self._bytes, max(LEAST_BYTES, known, size // 2))


def is_too_large(error: Exception) -> bool:
    """Whether an error of `Link.publish` says that the server does not take so large a stanza."""
    if isinstance(error, StanzaError):
        return error.condition == _TOO_LARGE or error.detail == _PAYLOAD_TOO_BIG
    return isinstance(error, LinkDownError) and str(error).endswith(f": {_TOO_LARGE}")
