"""Simulated pins: gpiozero's mock pins, moved from another thread as the profile simulates its channels.

The driver above them is the real one, with gpiozero's own devices.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from iotxmpp.agent.drivers.gpio.bindings import INPUTS, PWM, Binding
from iotxmpp.agent.drivers.gpio.library import advised, library
from iotxmpp.agent.drivers.moment import Moment

STEP = 0.2
"""Seconds between two moves of the simulated pins."""

_SOUND = 343.26
_CHARGING = 0.01
_MOST_PULSES = 20


class SimulatedPins:
    """The pins of one simulated device; they are no other device's."""

    def __init__(
        self, bound: Sequence[Binding], *, seed: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Makes them.

        Args:
            bound: What hangs at which pin.
            seed: Devices with different seeds have different values.
            clock: Gives the seconds since 1970.

        Raises:
            ConfigError: gpiozero is not installed, or there is no such pin.
        """
        library()
        from iotxmpp.agent.drivers.gpio.mockpins import Pins  # noqa: PLC0415  # it brings gpiozero in

        self._pins = Pins()
        self._kinds = {binding.channel: binding.kind for binding in bound}
        self._seed = seed
        self._clock = clock
        self._folder = Path(tempfile.mkdtemp(prefix="iotxmpp-gpio-"))
        self._moves: list[Callable[[], None]] = []
        self._ended = threading.Event()
        try:
            for binding in bound:
                with advised(binding.where):
                    self._moves.extend(self._movers(binding))
            self.move()
        except BaseException:
            self._remove()
            raise
        self._thread = threading.Thread(target=self._run, name="simulated pins", daemon=True)
        self._thread.start()

    @property
    def heat(self) -> str:
        """The file of the processor's temperature."""
        return str(self._folder / "temp")

    def factory(self, binding: Binding) -> object:
        """What gives the pins of a channel."""
        return self._pins.dimming if binding.source.device in PWM else self._pins.plain

    def move(self) -> None:
        """Moves every pin to where the simulation has it now."""
        for move in self._moves:
            move()

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        while not self._ended.wait(STEP):
            self.move()

    def _movers(self, binding: Binding) -> list[Callable[[], None]]:
        move = self._mover(binding)
        return [] if move is None else [move]

    def _mover(self, binding: Binding) -> Callable[[], None] | None:
        source = binding.source
        if source.device in INPUTS:
            return self._input(binding)
        match source.device:
            case "DistanceSensor":
                echo = self._pins.echo(source.trigger or 0, source.echo or 0)
                return lambda: setattr(echo, "seconds", 2 * self._raw(binding) / _SOUND)
            case "MCP3008":
                chip, channel = self._pins.plain.chip, source.channel or 0
                return lambda: chip.show(channel, self._raw(binding))
            case "LightSensor":
                pin = self._pins.charging(source.pin or 0)
                return lambda: setattr(pin, "charge_time", (1 - self._raw(binding)) * _CHARGING)
            case "CPUTemperature":
                return lambda: self._write_heat(self._raw(binding))
            case _:
                return None

    def _input(self, binding: Binding) -> Callable[[], None]:
        pin = self._pins.plain.pin(binding.source.pin)
        level = _level(binding)
        emitted: list[int] = []

        def show() -> None:
            high = level if self._value(binding) is True else not level
            pin.drive_high() if high else pin.drive_low()

        def pulse() -> None:
            value = self._value(binding)
            target = int(value) if isinstance(value, int | float) else 0
            if not emitted:
                emitted.append(target)
            for _ in range(min(max(target - emitted[0], 0), _MOST_PULSES)):
                pin.drive_high() if level else pin.drive_low()
                pin.drive_low() if level else pin.drive_high()
                emitted[0] += 1

        return pulse if binding.kind.type == "int" else show

    def _write_heat(self, degrees: float) -> None:
        fresh = self._folder / "fresh"
        fresh.write_text(f"{round(degrees * 1000)}\n")
        fresh.replace(self.heat)

    def _value(self, binding: Binding) -> object:
        return Moment(self._kinds, seed=self._seed, now=self._clock()).value(binding.channel)

    def _raw(self, binding: Binding) -> float:
        value = self._value(binding)
        raw = binding.raw(value) if isinstance(value, bool | int | float) else 0.0
        limited = binding.source.device in {"MCP3008", "LightSensor"}
        return min(max(raw, 0.0), 1.0) if limited else max(raw, 0.0)


def _level(binding: Binding) -> bool:
    """The pin's level that means true."""
    source = binding.source
    if source.active_high is not None:
        return source.active_high
    pulled_up = source.device == "Button" if source.pull_up is None else source.pull_up is True
    return not pulled_up and source.device != "LineSensor"
