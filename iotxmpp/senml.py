"""SenML packs in JSON (RFC 8428), and the ids of the items that carry them."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from iotxmpp.addresses import DeviceId
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Reading, Value, check_value

VERSION = 10
"""The SenML version of RFC 8428; a pack of a higher one is refused (section 4.4)."""

ABSOLUTE = 2**28
"""Times from here on are seconds since 1970; smaller ones are relative to now (section 4.5.3)."""

_YEAR_10000 = 253_402_300_800
_INTEGERS = 2**63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
_ITEM_ID = re.compile(r"([A-Za-z0-9-]{1,32})\.([1-9][0-9]{0,18})")
_DATA = re.compile(r"[A-Za-z0-9_-]*")

Number = int | float


class _Raw(TypedDict, total=False):
    """A record as it stands in the JSON (section 4.3)."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    bn: str
    bt: Number
    bu: str
    bv: Number
    bs: Number
    bver: int
    n: str
    u: str
    v: Number
    vs: str
    vb: bool
    vd: str
    s: Number
    t: Number
    ut: Number


_PACK: TypeAdapter[list[_Raw]] = TypeAdapter(Annotated[list[_Raw], FailFast()])
_LABELS = frozenset(_Raw.__annotations__)
_BASE = frozenset({"bn", "bt", "bu", "bv", "bs", "bver"})
_VALUES = frozenset({"v", "vs", "vb", "vd"})
_EXPECTED = {Number: "a finite number", int: "a whole number", bool: "true or false", str: "text"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One resolved record (RFC 8428 section 4.6).

    Attributes:
        name: The whole name, base name included.
        value: The value, base value included; data (`vd`) is its base64 text; None for a sum without a value.
        unit: The unit; None for none.
        time: Seconds since 1970 (UTC).
        sum: The integral over time, base sum included; None for none.
    """

    name: str
    value: Value | None
    unit: str | None
    time: float
    sum: Number | None = None


def check_name(text: str, where: str) -> str:
    """Returns a channel's or a record's name if SenML can carry it (RFC 8428 section 4.5.1).

    Raises:
        InvalidError: It is empty, or has other characters.
    """
    if not _NAME.fullmatch(text):
        raise InvalidError(
            f"{where}: name {text[:80]!r}: use A-Z, a-z, 0-9 and - : . / _, starting with a letter or a digit"
        )
    return text


def encode(readings: Sequence[Reading], *, device: DeviceId) -> str:
    """The readings as one pack, in compact JSON.

    Integers beyond 64 bits travel as floating-point numbers.

    Raises:
        InvalidError: There are none, or one has a bad name, a value that is no number, truth value or text,
            or no absolute time.
    """
    if not readings:
        raise InvalidError("pack: no readings; a pack holds at least one")
    base_time = readings[0].time
    records = [_encoded(reading, base_time) for reading in readings]
    records[0] = {"bn": f"{device}/", "bt": base_time, **records[0]}
    return json.dumps(records, separators=(",", ":"), allow_nan=False)


def decode(text: str | bytes, *, most: int = 100_000) -> list[Record]:
    """The resolved records of a pack.

    Units are passed on as they are: a device's description says which one a channel has.

    Args:
        text: The JSON, as text or UTF-8.
        most: The most records that are taken.

    Raises:
        InvalidError: The pack breaks RFC 8428, gives no absolute times, or is too long; the text names the
            record, counted from 0, and its field.
    """
    resolver = _Resolver()
    records: list[Record] = []
    for raw in _parsed(text, most):
        try:
            records.append(resolver.record(raw))
        except InvalidError as error:
            raise InvalidError(f"SenML record {len(records)}: {error}") from error
    return records


def readings_of(records: Sequence[Record], *, device: DeviceId, epoch: str, first_seq: int) -> list[Reading]:
    """The records as the device's readings, numbered from `first_seq`.

    Raises:
        InvalidError: A record names another device, or has no value.
    """
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
                seq=first_seq + index,
            )
        )
    return readings


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
    if match is None or int(match[2]) >= _INTEGERS:
        raise InvalidError(f"item id {text[:80]!r}: expected <epoch>.<first number>, such as 7f3a.120")
    return match[1], int(match[2])


def _encoded(reading: Reading, base_time: float) -> dict[str, Any]:
    where = f"channel {reading.channel}"
    record: dict[str, Any] = {"n": check_name(reading.channel, "channel")}
    if reading.unit is not None:
        record["u"] = reading.unit
    value = check_value(reading.value, where)
    if isinstance(value, bool):
        record["vb"] = value
    elif isinstance(value, str):
        record["vs"] = _unicode(value, where)
    else:
        record["v"] = _number(value, where)
    later = round(reading.time - base_time, 6)
    _absolute(base_time + later, where)
    if later:
        record["t"] = later
    return record


def _unicode(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidError(
            f"{where}: half of a surrogate pair at position {error.start}; remove it"
        ) from error
    return text


def _number(value: Number, where: str) -> Number:
    """The number as a 64-bit integer or a finite float."""
    if isinstance(value, int):
        if -_INTEGERS <= value < _INTEGERS:
            return value
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if not math.isfinite(value):
        raise InvalidError(f"{where}: the number is too large for a floating-point number")
    return value


def _absolute(time: float, where: str) -> float:
    if not time >= ABSOLUTE:
        raise InvalidError(
            f"{where}: no absolute time ({time:.6g} s); set the clock; give seconds since 1970, not from now"
        )
    if time >= _YEAR_10000:
        raise InvalidError(f"{where}: time {time:.6g} is beyond the year 9999; give seconds since 1970")
    return time


def _parsed(text: str | bytes, most: int) -> list[_Raw]:
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise InvalidError(f"SenML pack: byte {error.start} is no UTF-8") from error
    try:
        pack = _PACK.validate_json(text)
    except ValidationError as error:
        raise InvalidError(_fault(error)) from error
    if not pack:
        raise InvalidError("SenML pack: empty; a pack holds at least one record")
    if len(pack) > most:
        raise InvalidError(f"SenML pack: {len(pack)} records, at most {most} are taken; send several packs")
    # Every label has a colon after it, so as many colons as labels means that no label came twice.
    if text.count(":") != sum(map(len, pack)) or "NaN" in text or "Infinity" in text:
        _check_strictly(text)
    return pack


def _check_strictly(text: str) -> None:
    """Refuses what pydantic's parser lets pass: a label given twice, and NaN under a label unknown to us."""
    try:
        json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except InvalidError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"SenML pack: {error}") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for label, value in pairs:
        if label in fields:
            raise InvalidError(f"SenML pack: label {label[:80]!r} twice in one record")
        fields[label] = value
    return fields


def _no_constant(text: str) -> NoReturn:
    raise InvalidError(f"SenML pack: {text} is not JSON; leave the record out instead")


def _fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "list_type":
        return "SenML pack: the root must be an array: put the record in [ ]"
    if not fault["loc"]:
        return f"SenML pack: {fault['msg']}"
    index, *path = fault["loc"]
    if not path:
        return f"SenML record {index}: must be an object such as {{'n': 'temperature', 'v': 21.5}}"
    label = str(path[0])
    expected = _EXPECTED.get(_Raw.__annotations__.get(label))
    return f"SenML record {index}: {label[:80]}: {f'must be {expected}' if expected else fault['msg']}"


@dataclass(slots=True)
class _Resolver:
    """Carries the base fields from record to record (RFC 8428 section 4.1)."""

    name: str = ""
    time: Number = 0
    unit: str | None = None
    value: Number = 0
    sum: Number | None = None
    version: int | None = None

    def record(self, raw: _Raw) -> Record:
        labels = raw.keys()
        if not labels <= _LABELS:
            _check_unknown(labels - _LABELS)
        if labels & _BASE:
            self._carry(raw)
        if self.version is None:
            self.version = VERSION
        return Record(
            name=check_name(self.name + raw.get("n", ""), "n"),
            value=self._value(raw),
            unit=raw.get("u", self.unit),
            time=_absolute(_added("t", self.time, raw.get("t", 0)), "t"),
            sum=self._integral(raw),
        )

    def _carry(self, raw: _Raw) -> None:
        self.name = raw.get("bn", self.name)
        self.time = raw.get("bt", self.time)
        self.unit = raw.get("bu", self.unit)
        self.value = raw.get("bv", self.value)
        self.sum = raw.get("bs", self.sum)
        version = raw.get("bver", self.version or VERSION)
        if version > VERSION:
            raise InvalidError(f"bver: version {version} is unknown, at most {VERSION} is taken")
        if self.version not in (None, version):
            raise InvalidError("bver: all records of a pack must have one version")
        self.version = version

    def _value(self, raw: _Raw) -> Value | None:
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

    def _integral(self, raw: _Raw) -> Number | None:
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
    return _number(_number(base, label) + _number(value, label), label)


def _data(text: str) -> str:
    if not _DATA.fullmatch(text):
        raise InvalidError("vd: must be URL-safe base64 without padding")
    return text
