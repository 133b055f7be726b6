"""Channels at pins, each over a device of gpiozero; all of it may block, so nothing here is for the loop."""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from iotxmpp.agent.drivers.gpio.bindings import INPUTS, OUTPUTS, PWM, Binding, GpioSource
from iotxmpp.agent.drivers.gpio.library import advised, library
from iotxmpp.errors import ArgumentsError
from iotxmpp.readings import Value

Changed = Callable[[str, Value], None]
"""Is told of a channel's new value, in a thread of gpiozero's."""

_NEARLY = 1e-6
_MOCK_PINS = "gpiozero.pins.mock"
_FIRST_ECHO, _ECHO_ASKED = 0.5, 0.02
"""Seconds after the opening in which a first echo comes, if any does, and between two looks for it."""


class Wired(Protocol):
    """One channel at its pins."""

    def value(self) -> Value | OSError:
        """What it is now; the error of a channel that cannot be read."""
        ...

    def close(self) -> None:
        """Lets the pins go."""
        ...


class InputChannel:
    """A pin that tells of its changes: a truth value, or a count of how often it became true."""

    def __init__(self, binding: Binding, factory: object, changed: Changed) -> None:
        source = binding.source
        self._binding = binding
        self._changed = changed
        self._count = 0
        self._counting = threading.Lock()
        self._device = getattr(library(), source.device)(
            source.pin, pin_factory=factory, **_input_options(source)
        )
        self._inverted = _is_inverted(source) != (source.device == "LineSensor")
        if source.hold is not None:
            self._device.when_held = lambda: self._tell(active=True)
            self._device.when_released = lambda: self._tell(active=False)
        else:
            self._device.when_activated = lambda: self._tell(active=True)
            self._device.when_deactivated = lambda: self._tell(active=False)

    def value(self) -> Value:
        """Whether it is true now, or how often it became so."""
        if self._binding.kind.type == "int":
            return self._count
        if self._binding.source.hold is not None:
            return bool(self._device.is_held)
        return bool(self._device.is_active) != self._inverted

    def close(self) -> None:
        """Lets the pin go."""
        self._device.close()

    def _tell(self, *, active: bool) -> None:
        if self._binding.kind.type != "int":
            self._changed(self._binding.channel, active != self._inverted)
        elif active != self._inverted:
            with self._counting:
                self._count += 1
                count = self._count
            self._changed(self._binding.channel, count)


class OutputChannel:
    """A pin that can be set."""

    def __init__(self, binding: Binding, factory: object, *, keep: bool) -> None:
        source = binding.source
        self._binding = binding
        self._keep = keep and source.device not in PWM
        self._pwm = source.device in PWM
        self._least = -1.0 if source.device == "Servo" else 0.0
        # A pin that was kept is an output already.
        kept = self._keep and _is_output(factory, source.pin)
        initial: float | None = None if kept else 0.0
        if source.initial is not None:
            initial = self.checked(source.initial)
        options: dict[str, Any] = {
            "initial_value": initial if self._pwm or initial is None else bool(initial)
        }
        if source.device != "Servo":
            options["active_high"] = source.active_high is not False
        self._device = getattr(library(), source.device)(source.pin, pin_factory=factory, **options)

    def value(self) -> Value:
        """What the pin is now."""
        return self._binding.shown(float(self._device.value))

    def checked(self, value: Value) -> float:
        """What the device is given for a value.

        Raises:
            ArgumentsError: The device cannot be so.
        """
        raw = self._binding.raw(value)
        if not self._least - _NEARLY <= raw <= 1 + _NEARLY:
            low, high = sorted(map(self._binding.shown, (self._least, 1.0)))
            raise ArgumentsError(f"{self._binding.channel}: {value} is not in {low} to {high}")
        return min(max(raw, self._least), 1.0)

    def set(self, value: Value) -> None:
        """Sets it.

        Raises:
            ArgumentsError: The device cannot be so.
        """
        raw = self.checked(value)
        if self._pwm:
            self._device.value = raw
        elif raw > 0:
            self._device.on()
        else:
            self._device.off()

    def close(self) -> None:
        """Turns it off and lets the pin go; or leaves the pin as it is, where it is to be kept."""
        if self._keep:
            self._device.pin.close = _nothing  # closing a pin makes it an input, which drops the relay
        elif self._binding.source.device != "Servo":
            self._device.off()
        self._device.close()


class PolledChannel:
    """A device that is asked for its value."""

    def __init__(self, binding: Binding, factory: object, *, heat: str | None = None) -> None:
        source = binding.source
        self._binding = binding
        self._listens_until = time.monotonic() + _FIRST_ECHO
        self._is_mock = type(factory).__module__ == _MOCK_PINS
        kind = getattr(library(), source.device)
        match source.device:
            case "DistanceSensor":
                # What it heard so far counts: without any echo a whole queue would never come.
                self._device = kind(
                    source.echo,
                    source.trigger,
                    max_distance=source.max_distance or 4.0,
                    partial=True,
                    pin_factory=factory,
                )
            case "MCP3008":
                self._device = kind(source.channel, pin_factory=factory)
            case "CPUTemperature":
                self._device = kind(pin_factory=factory, **({"sensor_file": heat} if heat else {}))
            case _:
                self._device = kind(source.pin, pin_factory=factory)

    def value(self) -> Value | OSError:
        """What the device measures, in the channel's unit."""
        try:
            with advised(self._binding.channel):
                raw = self._raw()
        except OSError as error:
            return error
        if raw is None:
            return OSError(f"{self._binding.channel}: no echo; {self._echo_advice()}")
        return self._binding.shown(raw)

    def close(self) -> None:
        """Lets the pins go."""
        self._device.close()

    def _raw(self) -> float | None:
        match self._binding.source.device:
            case "DistanceSensor":
                return self._distance()
            case "CPUTemperature":
                return float(self._device.temperature)
            case _:
                return float(self._device.value)

    def _echo_advice(self) -> str:
        if self._is_mock:
            return "mock pins give none: simulated = true in [driver] simulates the sensor, too"
        source = self._binding.source
        return f"check the wires of trigger (pin {source.trigger}) and echo (pin {source.echo})"

    def _distance(self) -> float | None:
        """How far it is; None if nothing was heard since it was opened, which is exactly 0."""
        while not (heard := float(self._device.distance)) and time.monotonic() < self._listens_until:
            time.sleep(_ECHO_ASKED)  # its own thread has hardly begun
        return heard or None


def wired(
    binding: Binding,
    factory: object,
    changed: Changed,
    *,
    keep: bool,
    heat: str | None = None,
) -> Wired:
    """One channel, at its pins.

    Args:
        binding: What it hangs at.
        factory: Gives the pins.
        changed: Is told of an input's changes.
        keep: Whether outputs keep their state when they are closed.
        heat: The file of the processor's temperature; the kernel's unless given.

    Raises:
        ConfigError: The pin cannot be what it is to be.
        OSError: The hardware does not do it now.
    """
    with advised(binding.where):
        if binding.source.device in OUTPUTS:
            return OutputChannel(binding, factory, keep=keep)
        if binding.source.device in INPUTS:
            return InputChannel(binding, factory, changed)
        return PolledChannel(binding, factory, heat=heat)


def _input_options(source: GpioSource) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if source.pull_up == "floating":
        options |= {"pull_up": None, "active_state": source.active_high}
    elif source.pull_up is not None:
        options["pull_up"] = source.pull_up
    if source.bounce is not None:
        options["bounce_time"] = source.bounce
    if source.hold is not None:
        options["hold_time"] = source.hold
    return options


def _is_inverted(source: GpioSource) -> bool:
    """Whether true is the other level than gpiozero has it, which follows the pull."""
    if source.active_high is None or source.pull_up == "floating":
        return False
    pulled_up = source.device == "Button" if source.pull_up is None else source.pull_up
    return source.active_high == pulled_up


def _is_output(factory: Any, pin: int | None) -> bool:  # noqa: ANN401  # gpiozero tells no types
    return bool(factory.pin(pin).function == "output")


def _nothing() -> None:
    """Leaves a pin as it is."""
