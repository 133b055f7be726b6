"""What a server says of its limits in the features of a stream (XEP-0478)."""

import re
from typing import Final
from xml.etree.ElementTree import Element

from iotxmpp.link import LinkLimits
from iotxmpp.xmpp.stanzas import MAX_PAYLOAD_BYTES

LIMITS: Final = "{urn:xmpp:stream-limits:0}limits"
MAX_BYTES: Final = "{urn:xmpp:stream-limits:0}max-bytes"

LEAST: Final = 10_000
"""Bytes of a stanza that every server takes (RFC 6120 section 13.12); one that says less is not believed."""

ENVELOPE: Final = 262_144 - MAX_PAYLOAD_BYTES
"""Bytes of a stanza that are not its payload: addresses, ids and the name of a node."""

_NUMBER = re.compile(r"[0-9]{1,18}")


def limits_of(features: Element) -> LinkLimits:
    """What the features of a stream say; what is no number says nothing."""
    said = (features.findtext(f"{LIMITS}/{MAX_BYTES}") or "").strip()
    if not _NUMBER.fullmatch(said):
        return LinkLimits()
    return LinkLimits(stanza_bytes=max(LEAST, int(said)))


def largest_payload(limits: LinkLimits) -> int:
    """Bytes of the largest payload that may be sent: what is over a limit that was said is not to go out."""
    if limits.stanza_bytes is None:
        return MAX_PAYLOAD_BYTES
    return min(MAX_PAYLOAD_BYTES, limits.stanza_bytes - ENVELOPE)
