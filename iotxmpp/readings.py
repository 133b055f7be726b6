"""A reading: one value of one channel of one device, at one time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from iotxmpp.errors import InvalidError

Value = bool | int | float | str

ClockQuality = Literal["s", "u", "r"]
"""How far a time can be trusted: by a synchronised clock, by one that is not, or by no clock at all: then the
reading's age was measured, and its time follows from when it was received."""

_PLAIN = frozenset({bool, int, float, str})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One value of one channel.

    Attributes:
        channel: The channel's name in its device, such as `temperature` or `relay/1`.
        value: A number, a truth value, or text.
        unit: A SenML unit (RFC 8428 section 12.1), such as `Cel`; None for a value without one.
        time: When it was read, by the device's clock, in seconds since 1970 (UTC).
        epoch: Names the run of the device's program that `seq` belongs to.
        seq: The reading's number in its epoch, from 1; 0 while it has none.
        clock: How far its time can be trusted.
        received: When the controller got it, by its own clock, in seconds since 1970; None on the device.
        historical: It came late: something newer of its channel was there before, or it was old then.
    """

    channel: str
    value: Value
    unit: str | None = None
    time: float
    epoch: str = ""
    seq: int = 0
    clock: ClockQuality = "s"
    received: float | None = None
    historical: bool = False

    @property
    def at(self) -> datetime:
        """When it was read, as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time, UTC)


def plain(value: Value) -> Value:
    """The value in its built-in type; a subclass, such as numpy's float64 or an enum, looks different."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else str.__str__(value)


def check_value(value: object, where: str) -> Value:
    """Returns the value, in its built-in type, if a reading can hold it.

    Raises:
        InvalidError: It is not a finite number, a truth value or text.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidError(f"{where}: {value} is not a finite number; leave the reading out instead")
    if isinstance(value, bool | int | float | str):
        return plain(value)
    raise InvalidError(f"{where}: {type(value).__name__} is no reading; use a number, True or False, or text")
