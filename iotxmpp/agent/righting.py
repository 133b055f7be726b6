"""How a driver's values are put right: counters go on, calibrations are applied, channels renamed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from iotxmpp.about import Channel
from iotxmpp.agent.calibration import Calibrate
from iotxmpp.agent.channels import INTEGERS, check_reading
from iotxmpp.errors import InvalidError
from iotxmpp.kinds import ReadingKind
from iotxmpp.readings import Value, plain

RESTARTED = 0.5
"""A count below this part of the one before has started again; a smaller decrease is a dip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Count:
    """How far a channel has counted.

    Attributes:
        last: What the hardware read last.
        before: What it had counted before it started again.
        leapt: The count before, if it was left by a leap that may prove to be a single wrong reading.
    """

    last: float
    before: float = 0
    leapt: "_Count | None" = None

    @property
    def total(self) -> float:
        """All that was counted."""
        return self.last + self.before

    def then(self, value: float) -> "_Count":
        """The count after the next reading."""
        past = self.leapt
        if (
            past is not None
            and value >= past.last
            and (self.last < past.last or _is_restart(self.last, value))
        ):
            return _Count(last=value, before=past.before)
        here = replace(self, leapt=None)
        if _is_restart(self.last, value):
            return _Count(last=value, before=self.total, leapt=here)
        if value < self.last:
            return self
        leaps = self.last > 0 and _is_restart(value, self.last)
        return _Count(last=value, before=self.before, leapt=here if leaps else None)


def _is_restart(last: float, value: float) -> bool:
    return value < last * RESTARTED


def _any(_: Value) -> bool:
    return True


@dataclass(kw_only=True)
class Totals:
    """Counts that go on where the hardware starts again from nothing.

    What a channel read before is added once it reads less than half of it. A smaller decrease is a dip: the
    total stays until the hardware is past it. One reading far off changes nothing for good: if the next goes
    on from the one before it, neither a fall to less than half nor a rise to more than double has counted.

    It is kept in memory, so a new start of the agent begins with the hardware's own number.
    """

    _counts: dict[str, _Count] = field(default_factory=dict)

    def total(self, channel: str, value: Value, fits: Callable[[Value], bool] = _any) -> Value:
        """The count with all that came before; what is no count is left as it is.

        Args:
            channel: What counts.
            value: What its hardware reads.
            fits: Whether a total can be the channel's value; one that cannot is not remembered.
        """
        if isinstance(value, bool | str) or not 0 <= value < INTEGERS:
            return value
        count = self._counts.get(channel)
        count = _Count(last=value) if count is None else count.then(value)
        if fits(count.total):
            self._counts[channel] = count
        return count.total


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
        self._counters = {
            name: Channel(type=kind.type, range=kind.range) for name, kind in kinds.items() if kind.counter
        }
        self._calibrate = calibrate
        self._names = names
        self._totals = Totals()

    def righted(self, values: Mapping[str, Value | None]) -> dict[str, Value]:
        """The values by the channels' names on this device; without those that are None.

        What is no value stays as it is: the check of a channel's values refuses it, of that channel alone.
        """
        return {
            self.named(name): self._one(name, value) for name, value in values.items() if value is not None
        }

    def named(self, channel: str) -> str:
        """The name on this device of one of the profile's channels."""
        return self._names.get(channel, channel)

    def _one(self, name: str, value: Value) -> Value:
        try:
            good = plain(value)
        except Exception:  # noqa: BLE001  # it is none, and its own code may raise anything
            return value
        if name in self._counters:
            good = self._totals.total(name, good, lambda total: self._fits(name, total))
        return self._calibrated(name, good)

    def _fits(self, name: str, total: Value) -> bool:
        try:
            check_reading(name, self._counters[name], self._calibrated(name, total))
        except InvalidError:
            return False
        return True

    def _calibrated(self, name: str, value: Value) -> Value:
        return self._calibrate({name: value})[name]
