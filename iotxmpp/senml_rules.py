"""What SenML (RFC 8428) allows as a name, a number and a time: the rules of both its ways."""

import math
import re
from collections.abc import Callable
from typing import Final

from iotxmpp.errors import InvalidError
from iotxmpp.readings import ClockQuality
from iotxmpp.senml_json import Number

ABSOLUTE: Final = 2**28
"""Times from here on are seconds since 1970; smaller ones are relative to now (section 4.5.3)."""

YEAR_10000: Final = 253_402_300_800
"""Times are before it, in seconds since 1970."""

INTEGERS: Final = 2**63
"""Whole numbers are below it, and not below its negative."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")


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


def check_number(value: Number, where: str) -> Number:
    """The number as a 64-bit integer or a finite float.

    Raises:
        InvalidError: It is neither.
    """
    if isinstance(value, int):
        if -INTEGERS <= value < INTEGERS:
            return value
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if not math.isfinite(value):
        raise InvalidError(f"{where}: the number is too large for a floating-point number")
    return value


def check_absolute(time: float, where: str) -> float:
    """The time, if it is one in seconds since 1970.

    Raises:
        InvalidError: It is relative to now, no number, or beyond the year 9999.
    """
    if not time >= ABSOLUTE:
        raise InvalidError(
            f"{where}: no absolute time ({time:.6g} s); set the clock; give seconds since 1970, not from now"
        )
    if time >= YEAR_10000:
        raise InvalidError(f"{where}: time {time:.6g} is beyond the year 9999; give seconds since 1970")
    return time


def check_relative(time: float, where: str) -> float:
    """The time, if it is one in seconds before now.

    Raises:
        InvalidError: It is after now, no number, or as large as an absolute one.
    """
    if not -ABSOLUTE < time <= 0:
        raise InvalidError(f"{where}: relative time {time:.6g} s: must be 0 or less, in seconds before now")
    return time


def time_rule(clock: ClockQuality) -> Callable[[float, str], float]:
    """What checks the times of a pack whose clock is of this quality."""
    return check_relative if clock == "r" else check_absolute
