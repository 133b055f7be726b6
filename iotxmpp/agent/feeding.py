"""What a driver gives by itself: which of it is due, and where it goes."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from iotxmpp.agent.channels import VALUE_TYPES, shown
from iotxmpp.agent.drivers import Sample
from iotxmpp.agent.outlet import Outlet
from iotxmpp.agent.presence import Problems
from iotxmpp.agent.righting import Righting
from iotxmpp.agent.sampling import good_values, tell
from iotxmpp.agent.sensors import Rhythm, Sensor
from iotxmpp.agent.troubles import Told
from iotxmpp.errors import InvalidError, OutboxFullError
from iotxmpp.readings import Value
from iotxmpp.serving.offloop import said

BURST = 100
"""Values of one channel that may come at once."""

A_SECOND = 10.0
"""Values of one channel a second, in the long run; what comes faster is left out, and a problem."""

UNSAID = 1.0
"""Least seconds between two numbers of a channel whose profile says no `every`."""

_SLACK = 0.1
_KEPT = 60.0


@dataclass(kw_only=True)
class _Past:
    """What became of a channel's values so far."""

    value: Value | None = None
    pushed: Value | None = None
    at: float = -math.inf
    allowance: float = BURST
    counted: float = -math.inf


class Gate:
    """Decides which of the values that come by themselves are published.

    With `on_change` those that changed, at once, and an unchanged one after `at_least`. Else numbers at their
    interval, and, where nobody gave one, every truth value and text. What a driver calls an event does not
    come here: each of them is published.
    """

    def __init__(
        self,
        rhythms: Mapping[str, Rhythm],
        *,
        said: frozenset[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Makes it.

        Args:
            rhythms: When each channel is published.
            said: The channels whose interval somebody gave.
            clock: Gives the seconds since 1970.
        """
        self._rhythms = rhythms
        self._said = said
        self.clock = clock
        self._pasts = {name: _Past() for name in rhythms}

    def is_due(self, name: str, value: Value, at: float) -> bool:
        """Whether a value that came by itself at that time is to be published."""
        past, rhythm = self._pasts[name], self._rhythms[name]
        if rhythm.on_change:
            return _differs(past.value, value, rhythm.delta) or (
                past.pushed is not None and _waited(past.at, at, rhythm.at_least)
            )
        if name in self._said:
            return _waited(past.at, at, rhythm.every)
        return isinstance(value, bool | str) or _waited(past.at, at, UNSAID)

    def is_flood(self, name: str, now: float) -> bool:
        """Whether the channel's values come too fast; each call counts one."""
        past = self._pasts[name]
        if past.counted > -math.inf:
            past.allowance = min(BURST, past.allowance + max(0.0, now - past.counted) * A_SECOND)
        past.counted = now
        if past.allowance < 1:
            return True
        past.allowance -= 1
        return False

    def pushed(self, name: str, value: Value, at: float) -> None:
        """Notes that it was published."""
        past = self._pasts[name]
        past.value = past.pushed = value
        past.at = at

    def fresh(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """What was read, without what came by itself just before."""
        kept, now = {}, self.clock()
        for name, value in values.items():
            past = self._pasts.get(name)
            if past is not None and type(value) in VALUE_TYPES:  # another's own code compares as it likes
                rhythm = self._rhythms[name]
                past.value = value
                patience = rhythm.at_least if rhythm.on_change else rhythm.every
                if past.pushed == value and not _waited(past.at, now, patience):
                    continue
            kept[name] = value
        return kept


class Feed:
    """Publishes what a driver gives by itself, checked as a sensor's values are; a bad value is a problem."""

    def __init__(
        self,
        sensor: Sensor,
        gate: Gate,
        *,
        right: Righting,
        outlet: Callable[[], Outlet | None],
    ) -> None:
        """Makes it.

        Args:
            sensor: Reads the same channels; its problems are the same.
            gate: Decides what is due.
            right: Puts the values right.
            outlet: Where values and problems go; gives None while the agent does not run.
        """
        self._sensor = sensor
        self._gate = gate
        self._right = right
        self._outlet = outlet
        self._flooded: dict[str, float] = {}
        self._stranger = ""
        self._told = Told(sensor.label)

    def take(self, sample: Sample) -> None:
        """Publishes what is due of a sample; of an event, all."""
        outlet = self._outlet()
        if outlet is None:
            return
        publish, problems = outlet
        problems.clear(self._key)
        good = self._good(self._right.righted(self.readable(sample.values)), problems)
        now = self._gate.clock()
        at = now if sample.at is None else sample.at
        due = {
            name: value
            for name, value in good.items()
            if sample.is_event or self._gate.is_due(name, value, at)
        }
        calm = {name: value for name, value in due.items() if self._is_calm(name, now, problems)}
        if not calm:
            return
        key = f"publish {self._sensor.label}"
        try:
            publish(calm, sample.at)
        except (InvalidError, OutboxFullError) as error:
            problems.report(key, str(error))
            return
        problems.clear(key)
        if sample.is_event:  # how things are is another matter
            return
        for name, value in calm.items():
            self._gate.pushed(name, value, at)

    def readable(self, read: Mapping[str, Value | OSError]) -> dict[str, Value]:
        """What could be read; what could not is a problem of its channel."""
        outlet = self._outlet()
        values = {}
        for name, value in read.items():
            if not isinstance(value, OSError):
                values[name] = value
            elif outlet is not None:
                channel = self._right.named(name)
                outlet.problems.report(f"channel {channel}", f"{channel}: {value.strerror or said(value)}")
        return values

    def failed(self, error: Exception) -> None:
        """Reports that the driver gives nothing now."""
        outlet = self._outlet()
        if outlet is not None:
            tell(outlet.problems, self._key, self._sensor.label, error)

    def troubled(self, troubles: Mapping[str, str]) -> None:
        """Reports what is wrong with a driver that is open, and clears what no longer is."""
        outlet = self._outlet()
        if outlet is not None:
            self._told.tell(troubles, outlet.problems)

    @property
    def _key(self) -> str:
        return f"sensor {self._sensor.label}"

    def _good(self, values: Mapping[str, Value], problems: Problems) -> dict[str, Value]:
        stranger = next((name for name in values if name not in self._sensor.channels), None)
        if stranger is not None:
            self._tell_of_stranger(stranger, problems)
        return good_values(values, self._sensor.channels, problems)

    def _tell_of_stranger(self, name: str, problems: Problems) -> None:
        """Only of the first: there may be no end of them."""
        self._stranger = self._stranger or name
        problems.report(
            f"strangers of {self._sensor.label}",
            f"{self._sensor.label}: gives {shown(self._stranger)}, which is none of its channels",
        )

    def _is_calm(self, name: str, now: float, problems: Problems) -> bool:
        """Whether the channel's values do not come too fast."""
        key = f"flood {name}"
        if self._gate.is_flood(name, now):
            self._flooded[name] = now
            problems.report(key, f"{name}: changes more than {A_SECOND:g} times a second; some are left out")
            return False
        if now - self._flooded.get(name, now) > _KEPT:
            del self._flooded[name]
            problems.clear(key)
        return True


def _waited(since: float, now: float, seconds: float) -> bool:
    """Whether so long has passed, nearly; a clock that was set back does not make it wait."""
    return abs(now - since) >= seconds * (1 - _SLACK)


def _differs(last: Value | None, value: Value, delta: float) -> bool:
    if last is None or isinstance(last, bool | str) or isinstance(value, bool | str):
        return last != value
    try:
        return abs(value - last) > delta
    except (TypeError, OverflowError):  # what was read last may be anything, and is refused elsewhere
        return True
