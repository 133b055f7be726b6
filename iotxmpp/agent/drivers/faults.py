"""Faults of simulated devices, as pure functions: the same name and time give the same fault.

Times are seconds since the simulation's start. They fall into turns of `span` seconds; in each a fault is on
once, from somewhere in the turn's first half until its last fifth at most.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from iotxmpp.agent.drivers.signals import chance
from iotxmpp.kinds import ReadingKind
from iotxmpp.readings import Value

FaultName = Literal["stuck", "spiky", "silent", "offline"]
NAMES: Final[tuple[FaultName, ...]] = get_args(FaultName)

SPIKES = 0.12
"""The part of a spiky sensor's values that are far off."""

OUTSIDE = 0.25
"""The part of these that are outside the channel's range, if it has one."""

_EARLIEST, _LATEST = 0.2, 0.5
_SHORTEST, _LONGEST = 0.2, 0.3
_DIGITS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """When a fault is on.

    Attributes:
        begins: Seconds since the start.
        ends: Likewise; it is off again from then on.
    """

    begins: float
    ends: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault of one device.

    Attributes:
        kind: `stuck` repeats its values, `spiky` gives some that are far off, `silent` gives none, and
            `offline` loses its connection.
        seed: Seeds when it is on, and its spikes.
        span: Seconds of a turn.
    """

    kind: FaultName
    seed: str
    span: float

    def window(self, elapsed: float) -> Window:
        """When it is on in the turn of that time."""
        turn = math.floor(elapsed / self.span)
        start = _between(_EARLIEST, _LATEST, chance(f"{self.seed}/begins", turn))
        length = _between(_SHORTEST, _LONGEST, chance(f"{self.seed}/lasts", turn))
        begins = (turn + start) * self.span
        return Window(begins=begins, ends=begins + length * self.span)

    def next_window(self, elapsed: float) -> Window:
        """The window that is on at that time, or else the next one."""
        window = self.window(elapsed)
        return window if elapsed < window.ends else self.window(elapsed + self.span)

    def on_since(self, elapsed: float) -> float | None:
        """When it began, if it is on at that time; else None."""
        window = self.window(elapsed)
        return window.begins if window.begins <= elapsed < window.ends else None

    def value(self, value: Value, channel: str, kind: ReadingKind, elapsed: float) -> Value | None:
        """What the sensor gives in place of a value that it reads at that time; None for nothing.

        A stuck sensor's values are those of `on_since`: whoever has them needs nothing of this.
        """
        if self.on_since(elapsed) is None:
            return value
        if self.kind == "silent":
            return None
        return spiked(value, kind, f"{self.seed}/{channel}", elapsed) if self.kind == "spiky" else value


def spiked(value: Value, kind: ReadingKind, name: str, elapsed: float) -> Value:
    """The value, or now and then one that is far off, in the channel's type.

    Args:
        value: The right value.
        kind: The channel's type and range; some spikes are outside the range.
        name: Seeds the spikes.
        elapsed: When it is read.
    """
    turn = math.floor(elapsed * 10)
    if chance(f"{name}/spike", turn) >= SPIKES:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "fault"
    far = _far_off(value, kind.range, f"{name}/far", turn)
    if not math.isfinite(far):
        return value
    return round(far) if kind.type == "int" else round(far, _DIGITS)


def _far_off(value: float, bounds: tuple[float, float] | None, name: str, turn: int) -> float:
    sign = 1 if chance(f"{name}/sign", turn) < 1 / 2 else -1
    much = chance(name, turn)
    if bounds is None:
        return value + sign * (abs(value) + 10) * _between(3, 10, much)
    low, high = bounds
    width = high - low
    if chance(f"{name}/outside", turn) < OUTSIDE:
        return (high if sign > 0 else low) + sign * width * _between(0.1, 1, much)
    # Within the range: toward the farther end, by a third of the way there at least.
    end = high if high - value >= value - low else low
    return value + (end - value) * _between(1 / 3, 1, much)


def _between(low: float, high: float, part: float) -> float:
    return low + (high - low) * part
