"""An SCD40 or SCD41 on a bus: commands and words with a checksum each, a measurement every five seconds."""

import errno
import logging
import time
from collections.abc import Callable, Mapping

from iotxmpp.agent.drivers.i2c.bus import Bus, ChipError

START, STOP, READY, MEASUREMENT, SERIAL, REINIT = 0x21B1, 0x3F86, 0xE4B8, 0xEC05, 0x3682, 0x3646
IS_READY = 0x07FF

ADVICE = "an SCD4x is at 0x62: check power and wires; what answers shows: i2cdetect -y {bus}"
LONGEST_WAIT = 30.0
"""Seconds without a good measurement, after which the sensor counts as failed; it measures every 5."""

_POLYNOMIAL = 0x31
_LOGGER = logging.getLogger(__name__)


class DamagedError(ChipError):
    """What the sensor answered has a wrong checksum."""


class Scd4x:
    """One sensor; every method blocks.

    Args:
        bus: Its bus.
        address: Its address.
        sleep: Waits.
        clock: Gives seconds that only grow.

    Attributes:
        damaged: How many answers had a wrong checksum.
    """

    values = frozenset({"co2", "temperature", "humidity"})

    def __init__(
        self,
        bus: Bus,
        address: int,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.damaged = 0
        self._bus = bus
        self._address = address
        self._sleep = sleep
        self._clock = clock
        self._last: Mapping[str, float] = {}
        self._good_at = 0.0

    def start(self) -> None:
        """Looks whether it is there, and lets it measure from now on.

        Raises:
            OSError: It is not there, or its serial number cannot be read.
        """
        # One that measures since the agent's last run takes no other command before it is stopped.
        try:
            self.stop()
        except OSError as error:
            _LOGGER.debug("the SCD4x was not stopped: %s", error)
        self._ask(SERIAL, 3)
        self._command(START)
        self._last, self._good_at = {}, self._clock()

    def read(self) -> Mapping[str, float | OSError]:
        """The last measurement: co2 in ppm, temperature in Cel, humidity in %RH; nothing before the first.

        Raises:
            OSError: It does not answer, or gave no good measurement for half a minute.
        """
        try:
            if self._ask(READY, 1)[0] & IS_READY:
                self._last, self._good_at = measurement(self._ask(MEASUREMENT, 3)), self._clock()
        except DamagedError as error:
            _LOGGER.warning("SCD4x: %s; answers so far that were: %d", error.strerror, self.damaged)
        if self._clock() - self._good_at > LONGEST_WAIT:
            raise ChipError(
                errno.EIO,
                f"no good measurement for {LONGEST_WAIT:g} s, {self.damaged} damaged answers so far; check"
                " wires and power (it draws up to 205 mA)",
            )
        return dict(self._last)

    def reset(self) -> None:
        """Starts it anew, with its stored settings."""
        self.stop()
        self._command(REINIT)
        self._sleep(0.03)
        self.start()

    def stop(self) -> None:
        """Ends its measurements."""
        self._command(STOP)
        self._sleep(0.5)

    def _command(self, code: int) -> None:
        self._bus.write(self._address, code.to_bytes(2, "big"))

    def _ask(self, code: int, count: int) -> list[int]:
        self._command(code)
        self._sleep(0.002)
        try:
            return words(self._bus.read(self._address, 3 * count))
        except DamagedError:
            self.damaged += 1
            raise


def words(data: bytes) -> list[int]:
    """The words of an answer: each has two bytes and the checksum over them.

    Raises:
        DamagedError: A checksum is wrong.
    """
    parts = [data[start : start + 3] for start in range(0, len(data), 3)]
    if any(len(part) != 3 or checksum(part[:2]) != part[2] for part in parts):  # noqa: PLR2004  # a word
        raise DamagedError(errno.EIO, "a damaged answer (its checksum is wrong); check the wires")
    return [int.from_bytes(part[:2], "big") for part in parts]


def with_checksum(word: int) -> bytes:
    """A word as it stands on the bus."""
    data = word.to_bytes(2, "big")
    return data + bytes([checksum(data)])


def checksum(data: bytes) -> int:
    """The CRC-8 of Sensirion's sensors over the bytes: polynomial 0x31, from 0xFF on."""
    value = 0xFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (_POLYNOMIAL if value & 0x80 else 0)) & 0xFF
    return value


def measurement(read: list[int]) -> dict[str, float]:
    """What a measurement's three words say; without `co2` where the sensor has none yet.

    Args:
        read: The words for carbon dioxide, temperature and humidity.
    """
    co2, warmth, wet = read
    values: dict[str, float] = {"temperature": -45 + 175 * warmth / 65535, "humidity": 100 * wet / 65535}
    return values if co2 == 0 else {"co2": float(co2), **values}
