"""What a channel takes: its type, its bounds, and text that can travel."""

from typing import get_args

from iotxmpp.about import Channel, ValueType
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value, check_value
from iotxmpp.senml import check_name
from iotxmpp.units import check_unit
from iotxmpp.xmltext import check_text

LONGEST_TEXT = 16 * 1024
"""Characters in a value of text: a pack has to fit into one stanza of any server."""

INTEGERS = 2**63
"""Integers lie below this, and at least at its negative: 64 bits."""

VALUE_TYPES: dict[type, ValueType] = {float: "float", int: "int", bool: "bool", str: "str"}


_SHOWN = 80
_BITS = 256


def check_channel(name: str, channel: Channel) -> Channel:
    """Returns a channel that can be declared.

    Raises:
        InvalidError: Its name, its unit or its range breaks the rules.
    """
    check_name(name, "channel")
    if channel.unit is not None:
        check_unit(channel.unit, f"channel {name}")
    if channel.range is not None:
        if channel.type in ("bool", "str"):
            raise InvalidError(f"channel {name}: a {channel.type} has no range")
        low, high = channel.range
        if not low < high:
            raise InvalidError(
                f"channel {name}: range {low:g} to {high:g} is empty; give the lower bound first"
            )
    return channel


def check_reading(name: str, channel: Channel, value: object) -> Value:
    """The value as the channel's type, if it is a good one; an int may stand for a float.

    Raises:
        InvalidError: It has another type, is not finite, is out of the channel's range, or cannot travel.
    """
    good = check_value(value, name)
    if channel.type == "float" and type(good) is int:
        good = _as_float(name, good)
    if VALUE_TYPES.get(type(good)) != channel.type:
        raise InvalidError(f"{name}: {shown(good)} is {type(good).__name__}, expected {channel.type}")
    if isinstance(good, str):
        if len(good) > LONGEST_TEXT:
            raise InvalidError(
                f"{name}: a text of {len(good)} characters; at most {LONGEST_TEXT} can be sent"
            )
        return check_text(good, name)
    if type(good) is int and not -INTEGERS <= good < INTEGERS:
        raise InvalidError(
            f"{name}: an integer of more than 64 bits cannot be sent; make the channel a float"
        )
    if channel.range is not None and not channel.range[0] <= good <= channel.range[1]:
        low, high = channel.range
        raise InvalidError(f"{name}: {good:g} is out of its range, {low:g} to {high:g}")
    return good


def shown(value: object) -> str:
    """A foreign value for people, in 80 characters at most; it runs no code of the value's own.

    Python refuses to write an integer of more than 4300 digits, and a class of the user's may raise.
    """
    kind = type(value)
    if kind is int and isinstance(value, int) and value.bit_length() > _BITS:
        return f"an integer of {value.bit_length()} bits"
    if kind is str and isinstance(value, str):
        return repr(value[:_SHOWN])[:_SHOWN]
    return repr(value)[:_SHOWN] if kind in VALUE_TYPES or value is None else f"a {kind.__name__}"[:_SHOWN]


def value_type(annotation: object) -> ValueType | None:
    """The channel type of an annotation such as `float` or `float | None`; None for any other annotation."""
    inner = [part for part in get_args(annotation) if part is not type(None)]
    if len(inner) == 1 and type(None) in get_args(annotation):
        annotation = inner[0]
    return VALUE_TYPES.get(annotation) if isinstance(annotation, type) else None


def _as_float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidError(f"{name}: the number is too large for a floating-point number") from error
