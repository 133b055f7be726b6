"""A reading: one value of one channel of one device, at one time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from iotxmpp.errors import InvalidError

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One value of one channel.

    Attributes:
        channel: The channel's name in its device, such as `temperature` or `relay/1`.
        value: A number, a truth value, or text.
        unit: A SenML unit (RFC 8428 section 12.1), such as `Cel`; None for a value without one.
        time: When it was read, by the device's clock, in seconds since 1970 (UTC).
        epoch: Names the run of numbers that `seq` belongs to; a new one only when the device's disk was lost.
        seq: The reading's number in its epoch, from 1; 0 while it has none.
    """

    channel: str
    value: Value
    unit: str | None = None
    time: float
    epoch: str = ""
    seq: int = 0

    @property
    def at(self) -> datetime:
        """When it was read, as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time, UTC)


def check_value(value: object, where: str) -> Value:
    """Returns the value if a reading can hold it.

    Raises:
        InvalidError: It is not a finite number, a truth value or text.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidError(f"{where}: {value} is not a finite number; leave the reading out instead")
    if isinstance(value, bool | int | float | str):
        return value
    raise InvalidError(f"{where}: {type(value).__name__} is no reading; use a number, True or False, or text")
