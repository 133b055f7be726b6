"""From an item to readings: every check of what a device publishes, without any I/O.

The checks of a pack, in this order; the first that fails is its rejection: the item's form, its publisher,
its id, its payload's form, its size, SenML, its numbers, the device that it names. Then each reading by
itself: its channel, type, unit, range and time, as the device's own description promises them.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, tostring

from iotxmpp.about import About, Channel
from iotxmpp.addresses import DeviceId
from iotxmpp.controller.fastpack import Checks, read_pack
from iotxmpp.controller.items import Refused, Sender, check_sender, item_json, item_text, origin_of
from iotxmpp.controller.rejection import Code, Origin, Rejection
from iotxmpp.delivery import GAP_TAG, GapReason, parse_gap
from iotxmpp.errors import InvalidError
from iotxmpp.intervals import Run, runs_of
from iotxmpp.link import Item
from iotxmpp.readings import Reading, Value
from iotxmpp.senml import Record, decode, numbers_of, parse_item_id, readings_of
from iotxmpp.senml_json import rows_of
from iotxmpp.senml_rules import INTEGERS
from iotxmpp.units import check_unit

log = logging.getLogger(__name__)

MAX_REJECTIONS = 100
"""Rejections that one item makes at most; the last of them sums up the rest."""

EARLIEST = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
"""A reading from before was made with a clock that was never set."""

MOST_AHEAD = 24 * 3600.0
"""Seconds that a device's clock may be ahead of ours."""


MAX_CHANNEL = 256
"""Characters that a channel's name may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What an item held: the readings to be used, what was rejected of it, and the numbers that it settles.

    Attributes:
        epoch: The epoch of its numbers; None where it settles none.
        numbers: The numbers that it settles, accepted, rejected or lost, as ascending runs.
        readings: The accepted readings.
        rejections: What was rejected.
        seqs: The number of each rejection; empty where none are settled.
        reason: Why the numbers are lost, where it is a gap record.
    """

    epoch: str | None = None
    numbers: tuple[Run, ...] = ()
    readings: Sequence[Reading] = ()
    rejections: tuple[Rejection, ...] = ()
    seqs: tuple[int, ...] = ()
    reason: GapReason | None = None


def checks_of(device: DeviceId, about: About) -> Checks:
    """A description, made ready for `check_item`."""
    return Checks(device, about, longest=MAX_CHANNEL)


def check_item(item: Item, device: Sender, now: float, checks: Checks | None = None) -> Checked:
    """Checks an item of a device's readings node: a pack, or a gap record.

    Args:
        item: The item.
        device: Whose node it came by.
        now: The time by our clock, in seconds since 1970.
        checks: The device's description, made ready: good packs of the common shape cost a tenth of the work
            with it, and nothing else differs. None where there is none.
    """
    try:
        check_sender(item, device)
        epoch, first = _named(item)
        if item.payload is not None and item.payload.tag == GAP_TAG:
            return _gap(item.payload, epoch, first)
        return _fast(item, checks, epoch, first, now) or _pack(item, device, epoch, first, now)
    except Refused as refused:
        rejection = origin_of(item, device).rejection(refused.code, refused, refused.payload)
    except Exception as error:  # whatever a device sends, it is kept and seen
        log.exception("a check failed unexpectedly: %s item %r", item.node, item.id)
        rejection = origin_of(item, device).rejection("form", repr(error), item_text(item))
    return Checked(rejections=(rejection,))


def _named(item: Item) -> tuple[str, int]:
    try:
        return parse_item_id(item.id)
    except InvalidError as error:
        raise Refused("form", error, item_text(item)) from error


def _gap(payload: Element, epoch: str, first: int) -> Checked:
    try:
        gap = parse_gap(payload)
    except InvalidError as error:
        raise Refused("form", error, tostring(payload, encoding="unicode")) from error
    if (gap.epoch, gap.first) != (epoch, first):
        raise Refused(
            "numbers",
            f"a gap record of {gap.epoch}.{gap.first} in item {epoch}.{first}",
            tostring(payload, encoding="unicode"),
        )
    return Checked(epoch=epoch, numbers=gap.lost, reason=gap.reason)


def _fast(item: Item, checks: Checks | None, epoch: str, first: int, now: float) -> Checked | None:
    """What a pack held that is good, and of the common shape; None for any other."""
    if checks is None:
        return None
    try:
        text = item_json(item)
    except Refused:
        return None
    readings = read_pack(text, checks, epoch=epoch, first=first, window=(EARLIEST, now + MOST_AHEAD))
    if readings is None:
        return None
    return Checked(epoch=epoch, numbers=((first, first + len(readings) - 1),), readings=readings)


def _pack(item: Item, device: Sender, epoch: str, first: int, now: float) -> Checked:
    origin = origin_of(item, device)
    try:
        text = item_json(item)
        records = _decoded(text, now)
        numbers = _numbers(records, first, text)
        numbered, refusals = _readings(records, numbers, device.id, epoch, text)
    except Refused as refused:
        if refused.code not in _SETTLED:
            raise
        # It would be sent again and again: as far as it can be told, its numbers are settled by rejecting it.
        return Checked(
            epoch=epoch,
            numbers=_counted(refused.payload, first),
            rejections=(origin.rejection(refused.code, refused, refused.payload),),
            seqs=(first,),
        )
    readings = []
    for reading in numbered:
        try:
            readings.append(_check_reading(reading, device.about, now))
        except Refused as refused:
            refusals.append((reading.seq, refused))
    bounded = _bounded(origin, refusals, item)
    return Checked(
        epoch=epoch,
        numbers=runs_of(numbers),
        readings=tuple(readings),
        rejections=tuple(rejection for _, rejection in bounded),
        seqs=tuple(seq for seq, _ in bounded),
    )


_SETTLED = frozenset({"too-large", "senml", "identity"})
"""Why a whole pack is rejected, and its numbers with it."""


def _decoded(text: str, now: float) -> list[Record]:
    try:
        return decode(text, received=now)
    except InvalidError as error:
        raise Refused("senml", error, text) from error


def _numbers(records: list[Record], first: int, text: str) -> list[int]:
    try:
        return numbers_of(records, first_seq=first)
    except InvalidError as error:
        raise Refused("numbers", error, text) from error


def _counted(text: str, first: int) -> tuple[Run, ...]:
    """The numbers of a pack that cannot be read: of its records where there are any, else the first alone."""
    rows = rows_of(text)
    if any(isinstance(row, dict) and "sq" in row for row in rows[1:]):
        return ((first, first),)
    return ((first, min(first + max(0, len(rows) - 1), INTEGERS - 1)),)


def _readings(
    records: list[Record], numbers: list[int], device: DeviceId, epoch: str, text: str
) -> tuple[list[Reading], list[tuple[int, Refused]]]:
    """The records' readings by their form alone, and what is no reading of this device."""
    try:
        return readings_of(records, device=device, epoch=epoch, first_seq=numbers[0]), []
    except InvalidError as error:
        readings, refusals = _one_by_one(records, numbers, device, epoch)
        if not readings:
            raise Refused(_code_of(records[0], device), error, text) from error
        return readings, refusals


def _one_by_one(
    records: list[Record], numbers: list[int], device: DeviceId, epoch: str
) -> tuple[list[Reading], list[tuple[int, Refused]]]:
    readings, refusals = [], []
    for index, (record, number) in enumerate(zip(records, numbers, strict=True)):
        try:
            readings += readings_of([record], device=device, epoch=epoch, first_seq=number)
        except InvalidError as error:
            text = str(error).replace("SenML record 0", f"SenML record {index}", 1)
            payload = _json(record.name, record.value, record.unit, record.time)
            refusals.append((number, Refused(_code_of(record, device), text, payload)))
    return readings, refusals


def _code_of(record: Record, device: DeviceId) -> Code:
    return "senml" if record.name.startswith(f"{device}/") else "identity"


def _check_reading(reading: Reading, about: About | None, now: float) -> Reading:
    try:
        _check_text(reading)
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


def _check_text(reading: Reading) -> None:
    """No database takes these."""
    if len(reading.channel) > MAX_CHANNEL:
        raise Refused("unknown-channel", f"channel {reading.channel[:40]}…: at most {MAX_CHANNEL} characters")
    if isinstance(reading.value, str) and "\0" in reading.value:
        raise Refused("type", f"channel {reading.channel}: text with a NUL character")


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


def _bounded(origin: Origin, refusals: list[tuple[int, Refused]], item: Item) -> list[tuple[int, Rejection]]:
    """A rejection each, as long as they are not so many that one item could fill a disk."""
    most = len(refusals) if len(refusals) <= MAX_REJECTIONS else MAX_REJECTIONS - 1
    rejections = [(seq, origin.rejection(each.code, each, each.payload)) for seq, each in refusals[:most]]
    rest = refusals[most:]
    if rest:
        seq, first = rest[0]
        text = f"and {len(rest)} more readings of this item, the first of them: {first}"
        rejections.append((seq, origin.rejection(first.code, text, item_text(item))))
    return rejections


def _json(channel: str, value: Value | None, unit: str | None, time: float) -> str:
    return json.dumps({"n": channel, "v": value, "u": unit, "t": time})
