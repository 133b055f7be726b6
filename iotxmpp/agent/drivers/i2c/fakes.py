"""Simulated chips on a simulated bus: registers and commands, as the real chips have them."""

import errno
from collections.abc import Callable, Mapping
from typing import Protocol

from iotxmpp.agent.drivers.i2c import bme280, scd4x
from iotxmpp.agent.drivers.i2c import bme280_chip as chip

Truth = Callable[[], Mapping[str, float]]
"""What the simulated air is like now: Cel, %RH, Pa and ppm by the chips' own names."""

# That of the worked example in the BMP280's data sheet, with the humidity of a common chip.
CALIBRATION = bme280.Calibration(
    t=(27504, 26435, -1000),
    p=(36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000),
    h=(75, 362, 0, 315, 50, 30),
)
_NOTHING = {"temperature": 20.0, "humidity": 50.0, "pressure": 101_325.0, "co2": 600.0}


class Fake(Protocol):
    """A simulated chip."""

    def write(self, data: bytes) -> None:
        """Takes bytes."""
        ...

    def read(self, count: int) -> bytes:
        """Gives bytes."""
        ...


class SimulatedBus:
    """A bus with simulated chips at their addresses."""

    def __init__(self, chips: Mapping[int, Fake]) -> None:
        self._chips = chips

    def write(self, address: int, data: bytes) -> None:
        """Sends bytes to a chip."""
        self._chip(address).write(data)

    def read(self, address: int, count: int) -> bytes:
        """Takes so many bytes from a chip."""
        return self._chip(address).read(count)

    def ask(self, address: int, data: bytes, count: int) -> bytes:
        """Sends bytes to a chip and takes its answer."""
        self.write(address, data)
        return self.read(address, count)

    def close(self) -> None:
        """There is nothing to let go."""

    def _chip(self, address: int) -> Fake:
        if address not in self._chips:
            raise _refused()
        return self._chips[address]


class FakeBme280:
    """A simulated BME280: each forced measurement counts what the air is like then.

    Args:
        truth: The air.
        number: The chip's id; that of a BMP280 has no humidity.
        known: Its calibration.
    """

    def __init__(
        self, truth: Truth, *, number: int = chip.IS_BME280, known: bme280.Calibration = CALIBRATION
    ) -> None:
        self._truth = truth
        self._known = known
        self._number = number
        self._pointer = 0
        self._busy = 0
        self._registers = bytearray(256)
        self._reset()

    def write(self, data: bytes) -> None:
        """Sets the register to read from; with more bytes, register and value in turn."""
        self._pointer = data[0]
        for register, value in zip(data[::2], data[1::2], strict=False):
            if register == chip.RESET and value == chip.RESET_WORD:
                self._reset()
            elif register in {chip.CTRL_HUM, chip.CTRL_MEAS, chip.CONFIG}:
                self._registers[register] = value
                if register == chip.CTRL_MEAS and value & 0x03 in {1, 2}:
                    self._measure(value)

    def read(self, count: int) -> bytes:
        """The registers from the one that was set on."""
        self._registers[chip.STATUS] = self._busy
        if self._pointer == chip.STATUS:
            self._busy = 0
        return bytes(self._registers[self._pointer : self._pointer + count])

    def _reset(self) -> None:
        first, second = bme280.calibration_bytes(self._known)
        self._registers[:] = bytes(256)
        self._registers[chip.ID] = self._number
        self._registers[chip.FIRST_CALIBRATION : chip.FIRST_CALIBRATION + len(first)] = first
        if self._number == chip.IS_BME280:
            self._registers[chip.SECOND_CALIBRATION : chip.SECOND_CALIBRATION + len(second)] = second
        self._count(bme280.Counts(temperature=bme280.SKIPPED_20, pressure=bme280.SKIPPED_20))
        self._busy = chip.COPYING

    def _measure(self, asked: int) -> None:
        air = {**_NOTHING, **self._truth()}
        known = self._known
        warm = _count_for(lambda n: bme280.temperature(bme280.t_fine(n, known)), air["temperature"], 1 << 20)
        fine = bme280.t_fine(warm, known)
        # The more pressure, the less the chip counts.
        press = _count_for(lambda n: -(bme280.pressure(n, fine, known) or 0.0), -air["pressure"], 1 << 20)
        wet = _count_for(lambda n: bme280.humidity(n, fine, known) or 0.0, air["humidity"], 1 << 16)
        self._count(
            bme280.Counts(
                temperature=warm if asked >> 5 else bme280.SKIPPED_20,
                pressure=press if asked >> 2 & 0x07 else bme280.SKIPPED_20,
                humidity=wet if self._registers[chip.CTRL_HUM] & 0x07 else bme280.SKIPPED_16,
            )
        )
        self._registers[chip.CTRL_MEAS] = asked & 0xFC
        self._busy = chip.MEASURING

    def _count(self, counted: bme280.Counts) -> None:
        data = (counted.pressure << 4).to_bytes(3, "big") + (counted.temperature << 4).to_bytes(3, "big")
        if self._number == chip.IS_BME280:
            data += counted.humidity.to_bytes(2, "big")
        self._registers[chip.DATA : chip.DATA + len(data)] = data


class FakeScd4x:
    """A simulated SCD4x: while it measures, there is a measurement every five seconds.

    Args:
        truth: The air.
        clock: Gives seconds that only grow.
        every: Seconds between two measurements.
    """

    def __init__(self, truth: Truth, *, clock: Callable[[], float], every: float = 5.0) -> None:
        self._truth = truth
        self._clock = clock
        self._every = every
        self._next: float | None = None
        self._answer = b""

    def write(self, data: bytes) -> None:
        """Takes a command; while it measures, only those that the data sheet allows."""
        code = int.from_bytes(data[:2], "big")
        self._answer = b""
        match code:
            case scd4x.STOP:
                self._next = None
            case scd4x.START if self._next is None:
                self._next = self._clock() + self._every
            case scd4x.SERIAL if self._next is None:
                self._answer = b"".join(map(scd4x.with_checksum, (0xF896, 0x9F07, 0x3BBE)))
            case scd4x.REINIT if self._next is None:
                pass
            case scd4x.READY:
                self._answer = scd4x.with_checksum(0x8006 if self._is_ready() else 0x8000)
            case scd4x.MEASUREMENT if self._is_ready():
                self._answer = self._measure()
            case _:
                raise _refused()

    def read(self, count: int) -> bytes:
        """Gives the answer to the last command."""
        if not self._answer:
            raise _refused()
        return self._answer[:count]

    def _is_ready(self) -> bool:
        return self._next is not None and self._clock() >= self._next

    def _measure(self) -> bytes:
        self._next = self._clock() + self._every
        air = {**_NOTHING, **self._truth()}
        warmth = (air["temperature"] + 45) / 175
        parts = (air["co2"], warmth * 65535, air["humidity"] / 100 * 65535)
        return b"".join(scd4x.with_checksum(min(max(round(part), 0), 0xFFFF)) for part in parts)


def _count_for(value: Callable[[int], float], wanted: float, end: int) -> int:
    """The least count below `end` whose value reaches what is wanted; values grow with the count."""
    low, high = 0, end - 1
    while low < high:
        middle = (low + high) // 2
        if value(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _refused() -> OSError:
    return OSError(errno.EREMOTEIO, "Remote I/O error")
