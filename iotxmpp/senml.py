"""SenML packs in JSON (RFC 8428), and the ids of the items that carry them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from iotxmpp.addresses import DeviceId
from iotxmpp.errors import InvalidError
from iotxmpp.readings import ClockQuality, Reading, Value
from iotxmpp.senml_encode import encode_plain
from iotxmpp.senml_json import LABELS, MOST_RECORDS, Number, RawRecord, parse_records
from iotxmpp.senml_rules import (
    ABSOLUTE,
    INTEGERS,
    check_absolute,
    check_name,
    check_number,
    check_relative,
)

__all__ = [
    "ABSOLUTE",
    "MOST_NAME",
    "MOST_UNIT",
    "VERSION",
    "Record",
    "check_name",
    "decode",
    "encode",
    "encode_plain",
    "item_id",
    "numbers_of",
    "parse_item_id",
    "readings_of",
]

VERSION = 10
"""The SenML version of RFC 8428; a pack of a higher one is refused (section 4.4)."""

MOST_NAME = 1024
"""Characters of a record's whole name that are taken."""

MOST_UNIT = 256
"""Characters of a base unit that are taken."""

_ITEM_ID = re.compile(r"([A-Za-z0-9-]{1,32})\.([1-9][0-9]{0,18})")
_DATA = re.compile(r"[A-Za-z0-9_-]*")

_BASE = frozenset({"bn", "bt", "bu", "bv", "bs", "bver"})
_VALUES = frozenset({"v", "vs", "vb", "vd"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One resolved record (RFC 8428 section 4.6).

    Attributes:
        name: The whole name, base name included.
        value: The value, base value included; data (`vd`) is its base64 text; None for a sum without a value.
        unit: The unit; None for none.
        time: Seconds since 1970 (UTC).
        sum: The integral over time, base sum included; None for none.
        seq: The reading's number (label `sq`), where the record says it.
        clock: How far the time can be trusted (label `cq` of the pack's first record).
    """

    name: str
    value: Value | None
    unit: str | None
    time: float
    sum: Number | None = None
    seq: int | None = None
    clock: ClockQuality = "s"


def encode(readings: Sequence[Reading], *, device: DeviceId) -> str:
    """The readings as one pack, in compact JSON.

    Integers beyond 64 bits travel as floating-point numbers. A reading whose number is not its predecessor's
    plus one says it in the label `sq`. The label `cq` of the first record says how far the times can be
    trusted, unless the clock was synchronised. With `r` the times are relative to now (RFC 8428 section
    4.5.3), so the pack must be sent at once.

    Raises:
        InvalidError: There are none, their clocks differ in quality, their numbers do not ascend, or one has
            a bad name, a value that is no number, truth value or text, or a time that cannot travel.
    """
    clock = readings[0].clock if readings else "s"
    if any(reading.clock != clock for reading in readings):
        raise InvalidError("pack: clocks of several qualities; give each a pack of its own")
    plain = [(each.channel, each.unit, each.value, each.time, each.seq) for each in readings]
    return encode_plain(plain, device=device, clock=clock)


def decode(text: str | bytes, *, most: int = MOST_RECORDS, received: float | None = None) -> list[Record]:
    """The resolved records of a pack.

    Units are passed on as they are: a device's description says which one a channel has.

    Args:
        text: The JSON, as text or UTF-8.
        most: The most records that are taken.
        received: When it came, in seconds since 1970: what relative times are relative to; None refuses them.

    Raises:
        InvalidError: The pack breaks RFC 8428, gives no absolute times, or is too long; the text names the
            record, counted from 0, and its field.
    """
    resolver = _Resolver(received=received)
    records: list[Record] = []
    for raw in parse_records(text, most):
        try:
            records.append(resolver.record(raw))
        except InvalidError as error:
            raise InvalidError(f"SenML record {len(records)}: {error}") from error
    return records


def readings_of(records: Sequence[Record], *, device: DeviceId, epoch: str, first_seq: int) -> list[Reading]:
    """The records as the device's readings, numbered from `first_seq`.

    Raises:
        InvalidError: A record names another device, or has no value, or the numbers do not ascend.
    """
    numbers = numbers_of(records, first_seq=first_seq)
    prefix = f"{device}/"
    readings = []
    for index, record in enumerate(records):
        if not record.name.startswith(prefix):
            raise InvalidError(
                f"SenML record {index}: name {record.name[:80]!r} names another device: expected {prefix}…"
            )
        if record.value is None:
            raise InvalidError(f"SenML record {index}: a sum without a value is no reading; give v as well")
        readings.append(
            Reading(
                channel=check_name(record.name[len(prefix) :], f"SenML record {index}: channel"),
                value=record.value,
                unit=record.unit,
                time=record.time,
                epoch=epoch,
                seq=numbers[index],
                clock=record.clock,
            )
        )
    return readings


def numbers_of(records: Sequence[Record], *, first_seq: int) -> list[int]:
    """The records' numbers: as each says it, else its predecessor's plus one.

    Raises:
        InvalidError: They do not ascend from `first_seq`, or pass 2**63 - 1.
    """
    numbers: list[int] = []
    for index, record in enumerate(records):
        least = numbers[-1] + 1 if numbers else first_seq
        number = least if record.seq is None else record.seq
        if not least <= number < INTEGERS or (index == 0 and number != first_seq):
            expected = f"{first_seq}, as the item's id says" if index == 0 else f"{least} or more"
            raise InvalidError(f"SenML record {index}: sq: number {number}, expected {expected}")
        numbers.append(number)
    return numbers


def item_id(epoch: str, first_seq: int) -> str:
    """The id of the item that carries the run of readings from `first_seq` on: `<epoch>.<first seq>`.

    Raises:
        InvalidError: The epoch is not 1 to 32 of A-Z, a-z, 0-9 and -, or the number not in 1 to 2**63 - 1.
    """
    text = f"{epoch}.{first_seq}"
    parse_item_id(text)
    return text


def parse_item_id(text: str) -> tuple[str, int]:
    """The epoch and the first number of such an id.

    Raises:
        InvalidError: It is no such id.
    """
    match = _ITEM_ID.fullmatch(text)
    if match is None or int(match[2]) >= INTEGERS:
        raise InvalidError(f"item id {text[:80]!r}: expected <epoch>.<first number>, such as 7f3a.120")
    return match[1], int(match[2])


@dataclass(slots=True)
class _Resolver:
    """Carries the base fields from record to record (RFC 8428 section 4.1)."""

    name: str = ""
    time: Number = 0
    unit: str | None = None
    value: Number = 0
    sum: Number | None = None
    version: int | None = None
    clock: ClockQuality | None = None
    received: float | None = None

    def record(self, raw: RawRecord) -> Record:
        labels = raw.keys()
        if not labels <= LABELS:
            _check_unknown(labels - LABELS)
        if labels & _BASE:
            self._carry(raw)
        if self.version is None:
            self.version = VERSION
        self._judge_clock(raw.get("cq"))
        return Record(
            name=check_name(self._name(raw.get("n", "")), "n"),
            value=self._value(raw),
            unit=raw.get("u", self.unit),
            time=self._resolved(_added("t", self.time, raw.get("t", 0))),
            sum=self._integral(raw),
            seq=raw.get("sq"),
            clock=self.clock or "s",
        )

    def _name(self, own: str) -> str:
        """The name of a record: bounded, for a base name is written once, and is part of each record."""
        size = len(self.name) + len(own)
        if size > MOST_NAME:
            raise InvalidError(f"n: a name of {size} characters, at most {MOST_NAME} are taken")
        return self.name + own

    def _judge_clock(self, given: str | None) -> None:
        if given is not None and self.clock is not None:
            raise InvalidError("cq: belongs into the first record alone")
        if given is not None and given not in get_args(ClockQuality):
            raise InvalidError(f"cq: clock quality {given[:80]!r}, expected s, u or r")
        if self.clock is None:
            self.clock = cast("ClockQuality", given or "s")

    def _resolved(self, time: Number) -> Number:
        if self.clock != "r":
            return check_absolute(time, "t")
        if self.received is None:
            raise InvalidError("cq: times are relative, and when the pack came is not known")
        return self.received + check_relative(time, "t")

    def _carry(self, raw: RawRecord) -> None:
        self.name = raw.get("bn", self.name)
        self.time = raw.get("bt", self.time)
        self.unit = raw.get("bu", self.unit)
        if self.unit is not None and len(self.unit) > MOST_UNIT:
            raise InvalidError(f"bu: a unit of {len(self.unit)} characters, at most {MOST_UNIT} are taken")
        self.value = raw.get("bv", self.value)
        self.sum = raw.get("bs", self.sum)
        version = raw.get("bver", self.version or VERSION)
        if version > VERSION:
            raise InvalidError(f"bver: version {version} is unknown, at most {VERSION} is taken")
        if self.version not in (None, version):
            raise InvalidError("bver: all records of a pack must have one version")
        self.version = version

    def _value(self, raw: RawRecord) -> Value | None:
        given = raw.keys() & _VALUES
        if len(given) > 1:
            raise InvalidError(f"{' and '.join(sorted(given))}: only one value is allowed")
        if "v" in raw:
            return _added("v", self.value, raw["v"])
        if "vb" in raw:
            return raw["vb"]
        if "vs" in raw:
            return raw["vs"]
        if "vd" in raw:
            return _data(raw["vd"])
        if "s" in raw:
            return None
        raise InvalidError("no value; give one of v, vs, vb, vd")

    def _integral(self, raw: RawRecord) -> Number | None:
        if "s" not in raw and self.sum is None:
            return None
        return _added("s", self.sum or 0, raw.get("s", 0))


def _check_unknown(labels: set[str]) -> None:
    """Unknown labels are ignored, but for those that must be understood (RFC 8428 section 4.4)."""
    for label in sorted(labels):
        if label.endswith("_"):
            raise InvalidError(f"label {label[:80]!r} must be understood, and is unknown here")


def _added(label: str, base: Number, value: Number) -> Number:
    """A base field and its field, added; a finite number."""
    if not base and type(value) is float:
        return value
    return check_number(check_number(base, label) + check_number(value, label), label)


def _data(text: str) -> str:
    if not _DATA.fullmatch(text):
        raise InvalidError("vd: must be URL-safe base64 without padding")
    return text
