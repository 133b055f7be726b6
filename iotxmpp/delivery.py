"""What devices and their collector say of delivery: acks and gap records, `urn:iotxmpp:delivery:0`.

A reading's number is its epoch (one run of an agent) and its place in it, from 1. An ack says up to where
the collector has an epoch's numbers in its store; a gap record says which numbers will never come.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.errors import InvalidError

NAMESPACE = "urn:iotxmpp:delivery:0"
ACK_TAG = f"{{{NAMESPACE}}}ack"
GAP_TAG = f"{{{NAMESPACE}}}gap"

MOST_EPOCHS = 100
"""Epochs that one ack names at most."""

MOST_LOST = 500
"""Runs of lost numbers that one gap record holds at most."""

HIGHEST = 2**63 - 1
"""The highest number of a reading."""

GapReason = Literal["full", "age", "dead-letter", "corrupt", "trimmed"]
"""Why numbers will never come: no room, too old, refused for good, lost with a damaged file, or acknowledged
before and thrown away.

The last is a device's answer to an ack that stands below an earlier one: the collector has another store now.
"""

_UPTO_TAG = f"{{{NAMESPACE}}}upto"
_LOST_TAG = f"{{{NAMESPACE}}}lost"
_EPOCH = re.compile(r"[A-Za-z0-9-]{1,32}")
_SEQ = re.compile(r"[0-9]{1,19}")
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ack:
    """What the collector has.

    Attributes:
        upto: For each epoch the number up to which all are committed, or known to be lost; 0 for none yet.
        again: The device is to publish again whatever it holds that is not acknowledged.
    """

    upto: Mapping[str, int] = field(default_factory=dict)
    again: bool = False

    def __post_init__(self) -> None:
        if len(self.upto) > MOST_EPOCHS:
            raise InvalidError(f"ack: {len(self.upto)} epochs, at most {MOST_EPOCHS}; send several acks")
        for epoch, seq in self.upto.items():
            _check_epoch(epoch, "ack")
            _check_range(seq, 0, f"ack: epoch {epoch}: seq")

    def element(self) -> Element:
        """The element that carries it."""
        element = Element(ACK_TAG, {"again": "true" if self.again else "false"})
        for epoch, seq in self.upto.items():
            SubElement(element, _UPTO_TAG, {"epoch": epoch, "seq": str(seq)})
        return element


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Numbers of an epoch that will never come.

    Attributes:
        epoch: The epoch.
        reason: Why.
        lost: The runs of lost numbers, first and last of each, ascending.
    """

    epoch: str
    reason: GapReason
    lost: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        _check_epoch(self.epoch, "gap")
        if self.reason not in get_args(GapReason):
            raise InvalidError(f"gap: reason {str(self.reason)[:40]!r}: use {', '.join(get_args(GapReason))}")
        if not 1 <= len(self.lost) <= MOST_LOST:
            raise InvalidError(f"gap: {len(self.lost)} runs of numbers: give 1 to {MOST_LOST}")
        before = 0
        for first, last in self.lost:
            _check_range(first, before + 1, "gap: first")
            _check_range(last, first, "gap: last")
            before = last

    @property
    def first(self) -> int:
        """The first lost number; the item's id carries it."""
        return self.lost[0][0]

    def element(self) -> Element:
        """The element that carries it."""
        element = Element(GAP_TAG, {"epoch": self.epoch, "reason": self.reason})
        for first, last in self.lost:
            SubElement(element, _LOST_TAG, {"first": str(first), "last": str(last)})
        return element


def parse_ack(element: Element) -> Ack:
    """The ack that an element carries.

    Raises:
        InvalidError: It is no ack, or breaks its rules.
    """
    _check_form(element, ACK_TAG, (), ("again",))
    again = _TRUTH.get(element.get("again", "false"))
    if again is None:
        raise InvalidError("ack: again: must be true or false")
    if len(element) > MOST_EPOCHS:
        raise InvalidError(f"ack: {len(element)} epochs, at most {MOST_EPOCHS} are taken")
    upto: dict[str, int] = {}
    for child in element:
        _check_form(child, _UPTO_TAG, ("epoch", "seq"), (), leaf=True)
        epoch = child.attrib["epoch"]
        if epoch in upto:
            raise InvalidError(f"ack: epoch {epoch[:40]} twice")
        upto[epoch] = _number(child, "seq")
    return Ack(upto=upto, again=again)


def parse_gap(element: Element) -> Gap:
    """The gap record that an element carries.

    Raises:
        InvalidError: It is no gap record, or breaks its rules.
    """
    _check_form(element, GAP_TAG, ("epoch", "reason"), ())
    if len(element) > MOST_LOST:
        raise InvalidError(f"gap: {len(element)} runs of numbers, at most {MOST_LOST} are taken")
    lost = []
    for child in element:
        _check_form(child, _LOST_TAG, ("first", "last"), (), leaf=True)
        lost.append((_number(child, "first"), _number(child, "last")))
    reason = cast("GapReason", element.attrib["reason"])  # checked when the record is made
    return Gap(epoch=element.attrib["epoch"], reason=reason, lost=tuple(lost))


def _check_form(
    element: Element, tag: str, needed: tuple[str, ...], optional: tuple[str, ...], *, leaf: bool = False
) -> None:
    name = tag.rpartition("}")[2]
    if element.tag != tag:
        raise InvalidError(f"element {str(element.tag)[:80]}: expected {tag}")
    for attribute in needed:
        if attribute not in element.attrib:
            raise InvalidError(f"{name}: attribute {attribute} is missing")
    for attribute in element.attrib:
        if attribute not in needed and attribute not in optional:
            raise InvalidError(f"{name}: attribute {attribute[:40]} is unknown")
    if leaf and len(element):
        raise InvalidError(f"{name}: holds elements, must be empty")
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise InvalidError(f"{name}: holds text, must hold none")


def _number(element: Element, attribute: str) -> int:
    text = element.attrib[attribute]
    if not _SEQ.fullmatch(text):
        raise InvalidError(f"{attribute} {text[:40]!r}: must be a whole number from 0 to {HIGHEST}")
    return int(text)


def _check_epoch(epoch: str, where: str) -> None:
    if not _EPOCH.fullmatch(epoch):
        raise InvalidError(f"{where}: epoch {epoch[:40]!r}: use 1 to 32 of A-Z, a-z, 0-9 and -")


def _check_range(number: int, least: int, where: str) -> None:
    if not least <= number <= HIGHEST:
        raise InvalidError(f"{where} {number}: must be from {least} to {HIGHEST}")
