"""The BME280's arithmetic, as section 8.1 of its data sheet has it: from what the chip counts to values.

Pure functions. Temperature comes first: its `t_fine` goes into pressure and humidity.
"""

import struct
from dataclasses import dataclass

FIRST_BYTES = 26
"""Bytes of calibration from register 0x88 on."""

SECOND_BYTES = 7
"""Bytes of calibration from register 0xE1 on."""

SKIPPED_20 = 0x80000
"""What temperature and pressure count when they were not measured; a measurement may count it, too."""

SKIPPED_16 = 0x8000
"""What humidity counts when it was not measured; likewise."""

_SIGN_12 = 0x800


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What the factory wrote into one chip; names and meaning are the data sheet's.

    Attributes:
        t: dig_T1 to dig_T3.
        p: dig_P1 to dig_P9.
        h: dig_H1 to dig_H6; None for a BMP280, which has no humidity.
    """

    t: tuple[int, int, int]
    p: tuple[int, int, int, int, int, int, int, int, int]
    h: tuple[int, int, int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What the chip counted at one measurement, before any arithmetic.

    Attributes:
        temperature: 20 bits.
        pressure: 20 bits.
        humidity: 16 bits.
    """

    temperature: int
    pressure: int
    humidity: int = SKIPPED_16


NOTHING = Counts(temperature=SKIPPED_20, pressure=SKIPPED_20)
"""What stands there after a reset."""


def calibration(first: bytes, second: bytes | None) -> Calibration:
    """The calibration that stands in the registers.

    Args:
        first: The 26 bytes from 0x88 on.
        second: The 7 bytes from 0xE1 on; None for a BMP280.
    """
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, _, h1 = struct.unpack("<HhhHhhhhhhhhBB", first)
    t, p = (t1, t2, t3), (p1, p2, p3, p4, p5, p6, p7, p8, p9)
    if second is None:
        return Calibration(t=t, p=p)
    h2, h3, e4, e5, e6, h6 = struct.unpack("<hBBBBb", second)
    h4 = _signed_12(e4 << 4 | e5 & 0x0F)
    h5 = _signed_12(e6 << 4 | e5 >> 4)
    return Calibration(t=t, p=p, h=(h1, h2, h3, h4, h5, h6))


def calibration_bytes(known: Calibration) -> tuple[bytes, bytes]:
    """What stands in the registers of a chip with that calibration: the bytes from 0x88 and from 0xE1 on."""
    h1, h2, h3, h4, h5, h6 = known.h or (0,) * 6
    first = struct.pack("<HhhHhhhhhhhhBB", *known.t, *known.p, 0, h1)
    fifth = (h4 & 0x0F) | (h5 & 0x0F) << 4
    return first, struct.pack("<hBBBBb", h2, h3, h4 >> 4 & 0xFF, fifth, h5 >> 4 & 0xFF, h6)


def counts(data: bytes) -> Counts:
    """What was counted, from the eight bytes from register 0xF7 on; six where there is no humidity."""
    return Counts(
        pressure=data[0] << 12 | data[1] << 4 | data[2] >> 4,
        temperature=data[3] << 12 | data[4] << 4 | data[5] >> 4,
        humidity=int.from_bytes(data[6:8], "big") if data[6:8] else SKIPPED_16,
    )


def t_fine(count: int, known: Calibration) -> float:
    """The temperature in the chip's own fine unit, 1/5120 Cel."""
    t1, t2, t3 = known.t
    linear = (count / 16384 - t1 / 1024) * t2
    square = (count / 131072 - t1 / 8192) ** 2 * t3
    return linear + square


def temperature(fine: float) -> float:
    """The temperature in degrees Celsius.

    Args:
        fine: What `t_fine` gave.
    """
    return fine / 5120


def pressure(count: int, fine: float, known: Calibration) -> float | None:
    """The air pressure in pascal; None where the calibration allows none.

    Args:
        count: What the chip counted.
        fine: What `t_fine` gave.
        known: The chip's calibration.
    """
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = known.p
    warm = fine / 2 - 64000
    offset = (warm * warm * p6 / 32768 + warm * p5 * 2) / 4 + p4 * 65536
    slope = (1 + (p3 * warm * warm / 524288 + p2 * warm) / 524288 / 32768) * p1
    if slope == 0:
        return None
    plain = (1048576 - count - offset / 4096) * 6250 / slope
    return plain + (p9 * plain * plain / 2147483648 + plain * p8 / 32768 + p7) / 16


def humidity(count: int, fine: float, known: Calibration) -> float | None:
    """The relative humidity in percent, from 0 to 100; None for a BMP280.

    Args:
        count: What the chip counted.
        fine: What `t_fine` gave.
        known: The chip's calibration.
    """
    if known.h is None:
        return None
    h1, h2, h3, h4, h5, h6 = known.h
    warm = fine - 76800
    wet = (count - (h4 * 64 + h5 / 16384 * warm)) * (
        h2 / 65536 * (1 + h6 / 67108864 * warm * (1 + h3 / 67108864 * warm))
    )
    return min(max(wet * (1 - h1 * wet / 524288), 0.0), 100.0)


def _signed_12(number: int) -> int:
    return (number ^ _SIGN_12) - _SIGN_12
