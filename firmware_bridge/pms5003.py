"""Frames of Plantower's fine dust sensors PMS5003 and PMS7003, as the data sheet (V2.3, appendix I) has them.

A sensor sends one every 0.2 to 2.3 seconds at 9600 baud, without being asked: `42 4D`, the length 28,
thirteen numbers, and the sum of all bytes before it; each of two bytes, the high one first.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from iotxmpp.errors import InvalidError

BAUD = 9600
LENGTH = 32
"""Bytes of a frame."""

_START = b"BM"
_HEAD = _START + struct.pack(">H", LENGTH - 4)
_CHANNELS = (
    "pm1",
    "pm2.5",
    "pm10",
    "particles-0.3",
    "particles-0.5",
    "particles-1",
    "particles-2.5",
    "particles-5",
    "particles-10",
)
"""Numbers 4 to 12: micrograms in a cubic meter of outside air, and particles over a size in 0.1 liters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Air:
    """What one frame says.

    Attributes:
        values: The values by channel: `pm1`, `pm2.5` and `pm10` in ug/m3, and the counts of particles over
            so many micrometers in 0.1 liters of air, `particles-0.3` to `particles-10`.
        version: The version of the sensor's firmware.
        error: The sensor's error code; 0 for none.
    """

    values: Mapping[str, int]
    version: int
    error: int


def decode(frame: bytes) -> Air:
    """What a frame says.

    Raises:
        InvalidError: It is no whole frame, or damaged.
    """
    if len(frame) != LENGTH or not frame.startswith(_HEAD):
        raise InvalidError(f"frame: expected {LENGTH} bytes that start with {_HEAD.hex(' ')}")
    *numbers, stated = struct.unpack(">14H", frame[4:])
    if sum(frame[:-2]) != stated:
        raise InvalidError(f"frame: damaged, its sum is {sum(frame[:-2])} and it says {stated}")
    version, error = divmod(numbers[12], 256)
    return Air(
        values=dict(zip(_CHANNELS, numbers[3:12], strict=True)),
        version=version,
        error=error,
    )


class Pms5003Stream:
    """Finds the frames in what a serial port gives, in pieces of any size; keeps less than one frame.

    Attributes:
        damaged: How many frames were there whose sum did not fit.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[Air]:
        """The frames that these bytes complete; after damage it goes on with the next that fits."""
        waiting = self._rest + data
        found = []
        at = waiting.find(_START)
        while at >= 0 and at + LENGTH <= len(waiting):
            frame = waiting[at : at + LENGTH]
            if not frame.startswith(_HEAD):
                at = waiting.find(_START, at + 1)  # the answer to some command, or noise
                continue
            try:
                found.append(decode(frame))
                at = waiting.find(_START, at + LENGTH)
            except InvalidError:
                self.damaged += 1
                at = waiting.find(_START, at + 1)
        if at >= 0:
            self._rest = waiting[at:]
        else:
            self._rest = waiting[-1:] if waiting.endswith(_START[:1]) else b""
        return found
