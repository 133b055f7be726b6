"""The checks that every item of a device has in common."""

from typing import Protocol
from xml.etree.ElementTree import tostring

from iotxmpp.about import About
from iotxmpp.addresses import DeviceId, bare_jid
from iotxmpp.controller.rejection import Code, Origin
from iotxmpp.errors import InvalidError
from iotxmpp.link import Item
from iotxmpp.payloads import MAX_TEXT, TooLargeError, pack_text

_LONGEST_CHARACTER = 4  # in UTF-8


class Sender(Protocol):
    """What the checks need to know of a device."""

    @property
    def id(self) -> DeviceId:
        """Its id."""

    @property
    def jid(self) -> str:
        """Its bare JID."""

    @property
    def about(self) -> About | None:
        """Its last good description; None before one is known."""


class Refused(Exception):  # noqa: N818  # no error to the caller: it becomes a rejection
    """A check failed.

    Attributes:
        code: Why, for programs.
        payload: What was refused, as text.
    """

    def __init__(self, code: Code, error: object, payload: str = "") -> None:
        super().__init__(str(error))
        self.code = code
        self.payload = payload


def origin_of(item: Item, device: Sender) -> Origin:
    """Where an item of a device came from."""
    return Origin(device=device.id, node=item.node.node, item=item.id, publisher=item.publisher)


def check_sender(item: Item, device: Sender) -> None:
    """Checks an item's form, and that the device itself published it.

    Raises:
        Refused: It has another form, or another publisher.
    """
    if item.problem or item.payload is None:
        raise Refused("form", item.problem or "the item has no payload", item_text(item))
    if item.publisher is None:
        return
    try:
        publisher = bare_jid(item.publisher)
    except InvalidError:
        publisher = item.publisher
    if publisher != device.jid:
        raise Refused(
            "forged-publisher",
            f"published by {publisher}, only {device.jid} may publish there",
            item_text(item),
        )


def item_json(item: Item) -> str:
    """The JSON text that an item carries.

    Raises:
        Refused: It carries something else, or too much.
    """
    if item.payload is None:
        raise Refused("form", "the item has no payload")
    try:
        text = pack_text(item.payload)
    except TooLargeError as error:
        raise Refused("too-large", error, item_text(item)) from error
    except InvalidError as error:
        raise Refused("form", error, item_text(item)) from error
    if len(text) * _LONGEST_CHARACTER <= MAX_TEXT:
        return text
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT:
        raise Refused("too-large", f"{size} bytes, at most {MAX_TEXT} are taken; send smaller items", text)
    return text


def item_text(item: Item) -> str:
    """An item's payload as text: its JSON, however it came, or its XML where it cannot be read."""
    if item.payload is None:
        return ""
    try:
        return pack_text(item.payload)
    except InvalidError:
        return tostring(item.payload, encoding="unicode")
