"""Readings as SenML JSON (RFC 8428), written label by label: a device does this for each of them."""

import json
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, nan

from iotxmpp.addresses import DeviceId
from iotxmpp.errors import InvalidError
from iotxmpp.readings import ClockQuality, Value, check_value
from iotxmpp.senml_rules import ABSOLUTE, YEAR_10000, check_name, check_number, time_rule

Plain = tuple[str, str | None, Value, float, int]
"""A reading's channel, unit, value, time and number; the number is 0 for none."""

_SURE = {
    "s": (ABSOLUTE + 1.0, YEAR_10000 - 1.0),
    "u": (ABSOLUTE + 1.0, YEAR_10000 - 1.0),
    "r": (1.0 - ABSOLUTE, -1.0),
}
"""Times that are right whatever becomes of their last digit; the others are looked at closely."""

_NO_TIME = frozenset({"0", "-0"})


def encode_plain(readings: Sequence[Plain], *, device: DeviceId, clock: ClockQuality = "s") -> str:
    """The readings as one pack, in compact JSON; see `iotxmpp.senml.encode`.

    What all readings have in common is said once: the channel in the base name, the unit as the base unit.

    Args:
        readings: The readings; numbers ascend where they are not 0.
        device: Whose they are.
        clock: How far all their times can be trusted; with `r` they are relative to now.

    Raises:
        InvalidError: There are none, their numbers do not ascend, or one has a bad name, a value that is no
            number, truth value or text, or a time that cannot travel.
    """
    if not readings:
        raise InvalidError("pack: no readings; a pack holds at least one")
    channel, unit, _, time, _ = readings[0]
    kinds = {(each[0], each[1]) for each in readings}
    base_unit = unit if len(kinds) == 1 or all(each[1] == unit for each in kinds) else None
    if len(kinds) == 1:
        name, heads = f"{device}/{check_name(channel, 'channel')}", {(channel, unit): ""}
    else:
        name, heads = f"{device}/", {each: _head(each[0], _own(each[1], base_unit)) for each in kinds}
    records = _records(readings, heads, clock)
    return f"[{{{_base(name, time, base_unit, clock)}{'},{'.join(records)}}}]"


def _base(name: str, time: float, unit: str | None, clock: ClockQuality) -> str:
    """The base fields, which the first record has besides its own."""
    fields = f'"bn":"{name}","bt":{json.dumps(time)},'
    if unit is not None:
        fields = f'{fields}"bu":{json.dumps(unit)},'
    return fields if clock == "s" else f'{fields}"cq":"{clock}",'


def _own(unit: str | None, base_unit: str | None) -> str | None:
    """The unit that a record has to say."""
    return unit if base_unit is None else None


@lru_cache(maxsize=1024)  # the same few all the time
def _head(channel: str, unit: str | None) -> str:
    """What the records of a channel begin with."""
    label = f'"n":"{check_name(channel, "channel")}",'
    return label if unit is None else f'{label}"u":{json.dumps(unit)},'


def _records(
    readings: Sequence[Plain], heads: dict[tuple[str, str | None], str], clock: ClockQuality
) -> list[str]:
    """Each record's own fields; what is common is settled by plain comparisons, the rest by functions."""
    low, high = _SURE[clock]
    base = readings[0][3]
    before = readings[0][4] - 1
    several = len(heads) > 1
    read = nan
    head = later = ""
    records = []
    for channel, unit, value, time, seq in readings:
        if several:
            head = heads[channel, unit]
        if time != read:  # readings of one sample share it
            if not low <= time <= high:
                time_rule(clock)(base + round(time - base, 6), f"channel {channel}")
            read, later = time, ""
            if time != base:
                after = f"{time - base:.6f}".rstrip("0").rstrip(".")
                later = "" if after in _NO_TIME else f',"t":{after}'
        if type(value) is float and isfinite(value):
            text = f'{head}"v":{value!r}{later}'
        else:
            text = f"{head}{_value(value, f'channel {channel}')}{later}"
        if seq != before + 1 and seq:
            if seq <= before:
                raise InvalidError(f"pack: number {seq} after {before}; numbers must ascend")
            text = f'{text},"sq":{seq}'
        before = seq
        records.append(text)
    return records


def _value(given: object, where: str) -> str:
    """A value under its label."""
    value = check_value(given, where)
    if isinstance(value, bool):
        return '"vb":true' if value else '"vb":false'
    if isinstance(value, str):
        return f'"vs":{json.dumps(_unicode(value, where))}'
    return f'"v":{json.dumps(check_number(value, where))}'


def _unicode(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidError(
            f"{where}: half of a surrogate pair at position {error.start}; remove it"
        ) from error
    return text
