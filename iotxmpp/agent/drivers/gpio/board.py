"""All channels of one device at their pins; all of it may block, so it is called in threads."""

import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from iotxmpp.agent.drivers.gpio.bindings import OUTPUTS, Binding, GpioSettings
from iotxmpp.agent.drivers.gpio.devices import Changed, OutputChannel, PolledChannel, Wired, wired
from iotxmpp.agent.drivers.gpio.library import advised, real_pins
from iotxmpp.agent.drivers.gpio.mock import SimulatedPins
from iotxmpp.readings import Value


class Board:
    """The wired channels, from making it to `close`."""

    def __init__(self, bound: Sequence[Binding], settings: GpioSettings, changed: Changed, seed: str) -> None:
        """Wires them.

        Args:
            bound: What hangs at which pin.
            settings: The driver's.
            changed: Is told of an input's changes, in another thread.
            seed: For simulated pins.

        Raises:
            ConfigError: There are no pins here, or one cannot be what it is to be.
            OSError: The hardware does not do it now.
        """
        self._lock = threading.Lock()
        self._channels: dict[str, Wired] = {}
        self.simulated = SimulatedPins(bound, seed=seed) if settings.simulated else None
        try:
            real = None if self.simulated is not None else real_pins()
            # What gpiozero would rather have, such as another library, is no news for whoever reads a log.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for each in bound:
                    simulated = self.simulated
                    self._channels[each.channel] = wired(
                        each,
                        real if simulated is None else simulated.factory(each),
                        changed,
                        keep=settings.close == "keep",
                        heat=None if simulated is None else simulated.heat,
                    )
        except BaseException:
            self.close()
            raise
        self._outputs = {each.channel for each in bound if each.source.device in OUTPUTS}

    def read(self) -> dict[str, Value | OSError]:
        """Every channel's value."""
        return {name: self._value(each) for name, each in self._channels.items()}

    def pushed(self) -> dict[str, Value]:
        """The values of the inputs and outputs, which tell of their changes."""
        found = {}
        for name, each in self._channels.items():
            if not isinstance(each, PolledChannel):
                value = self._value(each)
                if not isinstance(value, OSError):
                    found[name] = value
        return found

    def value(self, channel: str) -> Value:
        """An output's value.

        Raises:
            OSError: It cannot be read.
        """
        value = self._value(self._channels[channel])
        if isinstance(value, OSError):
            raise value
        return value

    def check(self, values: Mapping[str, Value]) -> None:
        """Checks that outputs can be set so.

        Raises:
            ArgumentsError: One cannot.
        """
        for channel, value in values.items():
            self._output(channel).checked(value)

    def set(self, channel: str, value: Value) -> Value:
        """Sets an output, and returns what it then is.

        Raises:
            ArgumentsError: It cannot be so.
            OSError: The hardware does not do it.
        """
        with self._lock, advised(channel):
            output = self._output(channel)
            output.set(value)
            return output.value()

    def close(self) -> None:
        """Lets every pin go."""
        channels = dict(self._channels)
        self._channels.clear()
        with ExitStack() as closing:  # a pin that fails to close keeps none of the others
            if self.simulated is not None:
                closing.callback(self.simulated.close)
            for each in channels.values():
                closing.callback(each.close)
            with self._lock, advised("pins"):
                closing.close()

    def _value(self, each: Wired) -> Value | OSError:
        if isinstance(each, PolledChannel):
            return each.value()
        with advised("pins"):
            return each.value()

    def _output(self, channel: str) -> OutputChannel:
        output = self._channels.get(channel)
        if not isinstance(output, OutputChannel):
            raise KeyError(channel)
        return output
