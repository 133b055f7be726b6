"""Addresses: JIDs as text, device ids, and PubSub nodes.

A node's address is the pair (service JID, node name), never the name alone: the same names can live on a
server's PubSub service and, with PEP, on a device's own account.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

from iotxmpp.errors import InvalidError

DeviceId = NewType("DeviceId", str)

_DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LOCALPART = re.compile(r"[^\s\"&'/:<>@\x00-\x1f\x7f]{1,1023}")
_DOMAIN = re.compile(r"[^\s\"&'/:<>@\x00-\x1f\x7f]{1,1023}|\[[0-9a-f:.]+\]")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_MOST_ASCII = 253
_LABEL = r"(?!-)[^.\s\x00-\x1f\x7f]{1,63}(?<!-)"
_HOST_NAME = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_NODE = re.compile(r"iot/(?P<device>[^/]+)/(?P<kind>readings|about|state)")


def device_id(text: str) -> DeviceId:
    """A device's id: a slug of 1 to 63 characters, `[a-z0-9][a-z0-9-]*`.

    Raises:
        InvalidError: It is no such slug.
    """
    if not _DEVICE_ID.fullmatch(text):
        raise InvalidError(
            f"device id {text!r}: use 1 to 63 of a-z, 0-9 and -, starting with a letter or a digit"
        )
    return DeviceId(text)


@lru_cache(maxsize=128)  # the same few ask and answer all the time
def bare_jid(text: str) -> str:
    """The bare JID `local@domain` of a bare or full JID, in lower case (RFC 6122 section 2).

    Raises:
        InvalidError: It is no JID of an account.
    """
    bare = text.partition("/")[0].lower()
    local, at, domain = bare.partition("@")
    if not (at and _LOCALPART.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise InvalidError(f"JID {text!r}: expected name@domain, such as greenhouse@example.org")
    _check_domain(domain, text)
    return bare


def service_jid(text: str) -> str:
    """The JID of a service, which is a domain alone, in lower case (RFC 6122 section 2).

    Raises:
        InvalidError: It is no domain.
    """
    service = text.lower()
    if not _DOMAIN.fullmatch(service):
        raise InvalidError(f"JID {text[:80]!r}: expected a domain, such as pubsub.example.org")
    _check_domain(service, text)
    return service


def is_host_name(text: str) -> bool:
    """Whether a name can be looked up, or is an address (RFC 1035 section 2.3.4, RFC 3490 section 4).

    A part between two dots that is empty or too long makes Python's look-up break off, and so do characters
    that no name in DNS can stand for. In ASCII it has at most 253 characters.
    """
    if _HOST_NAME.fullmatch(text) is None:
        return False
    left = _MOST_ASCII + 1
    for label in _DOTS.split(text.removesuffix(".")):
        found = len(label) if label.isascii() else _ascii_length(label)
        left -= found + 1
        if not found or left < 0:  # before the rest is looked at, which takes long
            return False
    return True


@lru_cache(maxsize=128)
def _ascii_length(label: str) -> int:
    """How long a part of a name is in DNS (RFC 3490 section 4.1); 0 where it can stand for none."""
    try:
        return len(label.encode("idna"))
    except UnicodeError:
        return 0


def _check_domain(domain: str, jid: str) -> None:
    if not is_host_name(domain):
        raise InvalidError(
            f"JID {jid[:80]!r}: {domain[:80]!r} is no domain's name: between its dots are 1 to 63 letters,"
            " digits and hyphens, with no hyphen at an end, and in ASCII it has at most 253 characters;"
            " correct it"
        )


def local_part(jid: str) -> str:
    """What stands before the @ of an account's JID."""
    return bare_jid(jid).partition("@")[0]


def domain(jid: str) -> str:
    """The domain of an account's JID."""
    return bare_jid(jid).partition("@")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeAddress:
    """Where a PubSub node lives.

    Attributes:
        service: The JID of the PubSub service, or an account's bare JID with PEP.
        node: The node's name on that service.
    """

    service: str
    node: str

    def __str__(self) -> str:
        return f"{self.node} at {self.service}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceNodes:
    """The nodes of one device: the device is the only publisher of each."""

    service: str
    device: DeviceId

    @property
    def readings(self) -> NodeAddress:
        """The stream of readings; the server keeps none of it."""
        return NodeAddress(service=self.service, node=f"iot/{self.device}/readings")

    @property
    def about(self) -> NodeAddress:
        """One kept item: the device's self-description."""
        return NodeAddress(service=self.service, node=f"iot/{self.device}/about")

    @property
    def state(self) -> NodeAddress:
        """Kept items: desired and reported state."""
        return NodeAddress(service=self.service, node=f"iot/{self.device}/state")


def device_of_node(node: str) -> tuple[DeviceId, str] | None:
    """The device id and the kind (`readings`, `about`, `state`) of a node's name; None for any other node."""
    match = _NODE.fullmatch(node)
    if match is None or not _DEVICE_ID.fullmatch(match["device"]):
        return None
    return DeviceId(match["device"]), match["kind"]
