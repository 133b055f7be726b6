"""From an item to readings: every check of what a device publishes, without any I/O.

The checks of a pack, in this order; the first that fails is its rejection: the item's form, its publisher,
its id, its payload's form, its size, SenML, the device that it names. Then each reading by itself: its
channel, type, unit, range and time, as the device's own description promises them.
"""

import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from iotxmpp.about import About, Channel
from iotxmpp.addresses import DeviceId
from iotxmpp.controller.items import Refused, Sender, check_sender, item_json, item_text, origin_of
from iotxmpp.controller.rejection import Code, Origin, Rejection
from iotxmpp.errors import InvalidError
from iotxmpp.link import Item
from iotxmpp.readings import Reading, Value
from iotxmpp.senml import Record, decode, parse_item_id, readings_of
from iotxmpp.units import check_unit

log = logging.getLogger(__name__)

MAX_REJECTIONS = 100
"""Rejections that one item makes at most; the last of them sums up the rest."""

EARLIEST = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
"""A reading from before was made with a clock that was never set."""

MOST_AHEAD = 24 * 3600.0
"""Seconds that a device's clock may be ahead of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What a pack held: the readings to be used, and what was rejected of it."""

    readings: tuple[Reading, ...] = ()
    rejections: tuple[Rejection, ...] = ()


def check_pack(item: Item, device: Sender, now: float) -> Checked:
    """Checks an item of a device's readings node.

    Args:
        item: The item.
        device: Whose node it came by.
        now: The time by our clock, in seconds since 1970.
    """
    origin = origin_of(item, device)
    try:
        numbered, refusals = _numbered(item, device)
        readings = []
        for reading in numbered:
            try:
                readings.append(_check_reading(reading, device.about, now))
            except Refused as refused:
                refusals.append(refused)
    except Refused as refused:
        return Checked(rejections=(origin.rejection(refused.code, refused, refused.payload),))
    except Exception as error:  # whatever a device sends, it is kept and seen
        log.exception("a check failed unexpectedly: %s item %r", item.node, item.id)
        return Checked(rejections=(origin.rejection("form", repr(error), item_text(item)),))
    return Checked(readings=tuple(readings), rejections=tuple(_bounded(origin, refusals, item)))


def _numbered(item: Item, device: Sender) -> tuple[list[Reading], list[Refused]]:
    """An item's readings by their form alone, and what is no reading of this device."""
    check_sender(item, device)
    try:
        epoch, first_seq = parse_item_id(item.id)
    except InvalidError as error:
        raise Refused("form", error, item_text(item)) from error
    text = item_json(item)
    try:
        records = decode(text)
    except InvalidError as error:
        raise Refused("senml", error, text) from error
    try:
        return readings_of(records, device=device.id, epoch=epoch, first_seq=first_seq), []
    except InvalidError as error:
        readings, refusals = _one_by_one(records, device.id, epoch, first_seq)
        if not readings:
            raise Refused(_code_of(records[0], device.id), error, text) from error
        return readings, refusals


def _one_by_one(
    records: list[Record], device: DeviceId, epoch: str, first_seq: int
) -> tuple[list[Reading], list[Refused]]:
    readings, refusals = [], []
    for index, record in enumerate(records):
        try:
            readings += readings_of([record], device=device, epoch=epoch, first_seq=first_seq + index)
        except InvalidError as error:
            text = str(error).replace("SenML record 0", f"SenML record {index}", 1)
            payload = _json(record.name, record.value, record.unit, record.time)
            refusals.append(Refused(_code_of(record, device), text, payload))
    return readings, refusals


def _code_of(record: Record, device: DeviceId) -> Code:
    return "senml" if record.name.startswith(f"{device}/") else "identity"


def _check_reading(reading: Reading, about: About | None, now: float) -> Reading:
    try:
        if about is not None:
            reading = _as_described(reading, about)
        elif reading.unit is not None:
            _check_unit_known(reading)
        _check_time(reading, now)
    except Refused as refused:
        refused.payload = _json(reading.channel, reading.value, reading.unit, reading.time)
        raise
    return reading


def _as_described(reading: Reading, about: About) -> Reading:
    channel = about.channels.get(reading.channel)
    if channel is None:
        known = ", ".join(sorted(about.channels)[:20]) or "none"
        raise Refused("unknown-channel", f"no channel {reading.channel!r}; the device describes: {known}")
    where = f"channel {reading.channel}"
    if not _fits(reading.value, channel):
        kind = type(reading.value).__name__
        raise Refused("type", f"{where}: the value is {kind}, the device describes {channel.type}")
    if reading.unit != channel.unit:
        raise Refused(
            "unit", f"{where}: unit {reading.unit or 'none'}, the device describes {channel.unit or 'none'}"
        )
    if channel.range is not None and isinstance(reading.value, int | float):
        low, high = channel.range
        if not low <= reading.value <= high:
            raise Refused("range", f"{where}: {reading.value} is not within {low:g} to {high:g}")
    if channel.type == "float" and isinstance(reading.value, int):
        return replace(reading, value=float(reading.value))
    return reading


def _fits(value: Value, channel: Channel) -> bool:
    kind = type(value).__name__
    return kind == channel.type or (kind == "int" and channel.type == "float")


def _check_unit_known(reading: Reading) -> None:
    try:
        check_unit(reading.unit or "", f"channel {reading.channel}")
    except InvalidError as error:
        raise Refused("unit", error) from error


def _check_time(reading: Reading, now: float) -> None:
    if reading.time < EARLIEST:
        raise Refused(
            "time", f"channel {reading.channel}: read at {reading.at:%Y-%m-%d}: set the device's clock"
        )
    if reading.time > now + MOST_AHEAD:
        ahead = (reading.time - now) / 3600
        raise Refused(
            "time", f"channel {reading.channel}: read {ahead:.0f} hours from now: set the device's clock"
        )


def _bounded(origin: Origin, refusals: list[Refused], item: Item) -> list[Rejection]:
    """A rejection each, as long as they are not so many that one item could fill a disk."""
    most = len(refusals) if len(refusals) <= MAX_REJECTIONS else MAX_REJECTIONS - 1
    rejections = [origin.rejection(each.code, each, each.payload) for each in refusals[:most]]
    rest = refusals[most:]
    if rest:
        text = f"and {len(rest)} more readings of this item, the first of them: {rest[0]}"
        rejections.append(origin.rejection(rest[0].code, text, item_text(item)))
    return rejections


def _json(channel: str, value: Value | None, unit: str | None, time: float) -> str:
    return json.dumps({"n": channel, "v": value, "u": unit, "t": time})
