"""How a driver's values are put right: counters go on, calibrations are applied, channels renamed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from iotxmpp.agent.calibration import Calibrate
from iotxmpp.kinds import ReadingKind
from iotxmpp.readings import Value


@dataclass(kw_only=True)
class Totals:
    """Counts that go on where the hardware starts again from nothing.

    What a channel read before is added once it reads less; it is kept in memory, so a new start of the agent
    begins with the hardware's own number.
    """

    _last: dict[str, float] = field(default_factory=dict)
    _before: dict[str, float] = field(default_factory=dict)

    def total(self, channel: str, value: Value) -> Value:
        """The count with all that came before; what is no count is left as it is."""
        if isinstance(value, bool | str) or not (math.isfinite(value) and value >= 0):
            return value
        last = self._last.get(channel, value)
        if value < last:
            self._before[channel] = self._before.get(channel, 0) + last
        self._last[channel] = value
        return value + self._before.get(channel, 0)


class Righting:
    """Puts right what the hardware reads: counters go on, calibrations are applied, channels renamed."""

    def __init__(
        self, kinds: Mapping[str, ReadingKind], *, calibrate: Calibrate, names: Mapping[str, str]
    ) -> None:
        """Makes it.

        Args:
            kinds: The channels, by their names in the profile.
            calibrate: Puts values right, by those names.
            names: Their names on this device.
        """
        self._counters = {name for name, kind in kinds.items() if kind.counter}
        self._calibrate = calibrate
        self._names = names
        self._totals = Totals()

    def righted(self, values: Mapping[str, Value | None]) -> dict[str, Value]:
        """The values by the channels' names on this device; without those that are None."""
        counted = {
            name: self._totals.total(name, value) if name in self._counters else value
            for name, value in values.items()
            if value is not None
        }
        return {self.named(name): value for name, value in self._calibrate(counted).items()}

    def named(self, channel: str) -> str:
        """The name on this device of one of the profile's channels."""
        return self._names.get(channel, channel)
