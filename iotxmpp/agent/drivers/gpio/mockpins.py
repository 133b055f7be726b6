"""Mock pins with hardware behind them; it needs gpiozero, and is brought in only for a simulation."""

import threading
import time
from collections.abc import Sequence

from gpiozero.pins.mock import (  # type: ignore[import-untyped]  # gpiozero has no types
    MockChargingPin,
    MockFactory,
    MockPin,
    MockPWMPin,
    PiPin,
)

_TOP = 1023


class Echo(MockPin):  # type: ignore[misc]  # of a class without types
    """Hears an echo after exactly so many seconds, however late its thread is.

    Attributes:
        seconds: How long a sound is on its way, there and back.
    """

    seconds = 0.001
    _ticks = 0.0

    def sound(self) -> None:
        """A sound goes out, and comes back."""
        self._ticks = time.monotonic()
        self.drive_high()
        self._ticks += self.seconds
        self.drive_low()

    def _call_when_changed(self) -> None:
        PiPin._call_when_changed(self, self._ticks, self._state)  # noqa: SLF001  # its base's own


class Trigger(MockPin):  # type: ignore[misc]  # of a class without types
    """Sounds when it falls, as an HC-SR04 does.

    Attributes:
        echo: What hears it.
    """

    echo: Echo | None = None

    def _set_state(self, value: object) -> None:
        fell = self._state and not value
        super()._set_state(value)
        if fell and self.echo is not None:
            threading.Thread(target=self.echo.sound, daemon=True).start()


class Chip:
    """An MCP3008 at an SPI interface, asked with three bytes: a start bit, the channel, and room to answer.

    gpiozero's own mock of one brings in the pins of the whole process, which a PC does not have.
    """

    bits_per_word = 8

    def __init__(self) -> None:
        self._shown: dict[int, float] = {}

    def show(self, channel: int, part: float) -> None:
        """Sets what a channel measures, from 0 to 1."""
        self._shown[channel] = part

    def transfer(self, words: Sequence[int]) -> list[int]:
        """Answers a question in the interface's way: as many bytes as came."""
        value = round(self._shown.get(words[1] >> 4 & 7, 0.0) * _TOP)
        return [0, value >> 8, value & 0xFF]

    def close(self) -> None:
        """It stays for the other channels."""


class PlainFactory(MockFactory):  # type: ignore[misc]  # of a class without types
    """Gives pins that are high or low, and the one converter."""

    def __init__(self) -> None:
        super().__init__(pin_class=MockPin)
        self.chip = Chip()

    def spi(self, **_pins: object) -> Chip:
        """The SPI interface, with what hangs at it."""
        return self.chip


class Pins:
    """The mock pins of one simulated device.

    Attributes:
        plain: Gives pins that are high or low.
        dimming: Gives pins that can be dimmed; gpiozero's mock pins are one or the other.
    """

    def __init__(self) -> None:
        self.plain = PlainFactory()
        self.dimming = MockFactory(pin_class=MockPWMPin)

    def echo(self, trigger: int, echo: int) -> Echo:
        """What hears the sound of a distance sensor at these pins."""
        heard: Echo = self.plain.pin(echo, pin_class=Echo)
        self.plain.pin(trigger, pin_class=Trigger).echo = heard
        return heard

    def charging(self, pin: int) -> MockChargingPin:
        """The pin of a light sensor."""
        return self.plain.pin(pin, pin_class=MockChargingPin)
