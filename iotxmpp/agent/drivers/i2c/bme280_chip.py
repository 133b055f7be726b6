"""A BME280 on a bus: found by its id, reset, and asked for one measurement at a time (forced mode)."""

import errno
import time
from collections.abc import Callable, Mapping

from iotxmpp.agent.drivers.i2c import bme280
from iotxmpp.agent.drivers.i2c.bus import Bus, ChipError

ID, RESET, CTRL_HUM, STATUS, CTRL_MEAS, CONFIG, DATA = 0xD0, 0xE0, 0xF2, 0xF3, 0xF4, 0xF5, 0xF7
FIRST_CALIBRATION, SECOND_CALIBRATION = 0x88, 0xE1
RESET_WORD = 0xB6
IS_BME280 = 0x60
IS_BMP280 = frozenset({0x56, 0x57, 0x58})
COPYING, MEASURING = 0x01, 0x08
FORCED = 0x01

ADVICE = (
    "a BME280 is at 0x76, or at 0x77 with SDO at 3.3 V: check address, power and wires; what answers shows:"
    " i2cdetect -y {bus}"
)
_OTHERS = {0x55: "a BMP180", 0x50: "a BMP388", 0x61: "a BME680"}
_NO_HUMIDITY = 'this chip is a BMP280, which has no humidity; drop it by without = ["humidity"]'
_WITHIN = 0.2
_RATE = 0x07


class Bme280:
    """One chip; every method blocks.

    Args:
        bus: Its bus.
        address: Its address.
        oversampling: How many samples the chip takes of each value: 1, 2, 4, 8 or 16.
        sleep: Waits.
    """

    values = frozenset({"temperature", "humidity", "pressure"})

    def __init__(
        self, bus: Bus, address: int, *, oversampling: int = 1, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._bus = bus
        self._address = address
        self._samples = oversampling
        self._sleep = sleep
        self._known: bme280.Calibration | None = None

    def start(self) -> None:
        """Looks whether it is there, resets it and reads its calibration.

        Raises:
            OSError: It is not, or is another chip.
        """
        is_bme280 = self._is_bme280()
        self._write(RESET, RESET_WORD)
        self._sleep(0.002)
        self._wait(COPYING, "it does not come back from its reset")
        first = self._read(FIRST_CALIBRATION, bme280.FIRST_BYTES)
        second = self._read(SECOND_CALIBRATION, bme280.SECOND_BYTES) if is_bme280 else None
        if len(set(first[:24])) == 1:
            raise ChipError(errno.EIO, f"its calibration is only 0x{first[0]:02x}; check power and wires")
        self._known = bme280.calibration(first, second)
        self._write(CONFIG, 0)

    def read(self) -> Mapping[str, float | OSError]:
        """Measures: temperature in Cel, humidity in %RH, pressure in Pa.

        Raises:
            OSError: It does not answer, or did not measure.
        """
        known = self._known
        if known is None:
            raise ChipError(errno.ENODEV, "the chip was not started")
        rate = self._samples.bit_length()
        # Both each time: a chip that lost its power between has forgotten them.
        if known.h is not None:
            self._write(CTRL_HUM, rate)
        self._write(CTRL_MEAS, rate << 5 | rate << 2 | FORCED)
        self._sleep(0.0025 + 0.0069 * self._samples)
        self._wait(MEASURING, "its measurement does not end")
        # What it was told and what it counted, in one: between two it could lose its power.
        end = DATA + (6 if known.h is None else 8)
        found = self._read(CTRL_HUM, end - CTRL_HUM)
        counted = bme280.counts(found[DATA - CTRL_HUM :])
        asked = known.h is None or found[0] & _RATE == rate
        asked = asked and found[CTRL_MEAS - CTRL_HUM] >> 2 == rate << 3 | rate
        # Each of a reset's counts is a measurement's, too; all of them at once are none.
        if not asked or counted == bme280.NOTHING:
            raise ChipError(errno.EIO, "it did not measure; check its power")
        return self._values(counted, known)

    def reset(self) -> None:
        """Starts it anew."""
        self.start()

    def stop(self) -> None:
        """There is nothing to do: it sleeps between measurements."""

    def _is_bme280(self) -> bool:
        number = self._read(ID, 1)[0]
        if number == IS_BME280:
            return True
        if number in IS_BMP280:
            return False
        raise ChipError(
            errno.ENODEV,
            f"the chip's id is 0x{number:02x}, {_OTHERS.get(number, 'another chip')}; a BME280 has 0x60",
        )

    def _values(self, counted: bme280.Counts, known: bme280.Calibration) -> dict[str, float | OSError]:
        fine = bme280.t_fine(counted.temperature, known)
        values: dict[str, float | OSError] = {"temperature": bme280.temperature(fine)}
        pascal = bme280.pressure(counted.pressure, fine, known)
        if pascal is not None:
            values["pressure"] = pascal
        percent = bme280.humidity(counted.humidity, fine, known)
        if percent is None:
            values["humidity"] = ChipError(errno.ENODEV, _NO_HUMIDITY)
        else:
            values["humidity"] = percent
        return values

    def _wait(self, bit: int, fault: str) -> None:
        for _ in range(round(_WITHIN / 0.002)):
            if not self._read(STATUS, 1)[0] & bit:
                return
            self._sleep(0.002)
        raise ChipError(errno.EIO, f"{fault}; check power and wires")

    def _write(self, register: int, value: int) -> None:
        self._bus.write(self._address, bytes([register, value]))

    def _read(self, register: int, count: int) -> bytes:
        return self._bus.ask(self._address, bytes([register]), count)
