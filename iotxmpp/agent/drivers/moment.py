"""What simulated channels read at one time; the simulated driver and all simulated hardware ask this."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from iotxmpp.agent.drivers import signals
from iotxmpp.kinds import ReadingKind
from iotxmpp.readings import Value
from iotxmpp.relations import part_channels, per_second, relation, to_primary

_AN_HOUR = 10.0
_A_TURN = 600.0
_DIGITS = 9
_EXACT = 2.0**53
"""Greater multiples than this are not told apart."""


class Moment:
    """What the channels of a device read at one time; those that follow from others fit these.

    Args:
        kinds: The channels: their types, ranges, and how they are simulated.
        seed: Devices with different seeds have different values.
        now: Seconds since 1970.
        given: Values that are so whatever the signals say.
    """

    def __init__(
        self,
        kinds: Mapping[str, ReadingKind],
        *,
        seed: str,
        now: float,
        given: Mapping[str, Value] = MappingProxyType({}),
    ) -> None:
        self._kinds = kinds
        self._seed = seed
        self._now = now
        self._found = dict(given)
        self._totals: dict[str, float] = {}

    def value(self, channel: str) -> Value:
        """What that channel reads."""
        if channel not in self._found:
            self._found[channel] = self._reckoned(channel, self._kinds[channel])
        return self._found[channel]

    def _reckoned(self, channel: str, kind: ReadingKind) -> Value:
        hints = kind.simulate
        if kind.type == "str":
            return hints.value if isinstance(hints.value, str) else "ok"
        if kind.type == "bool":
            if hints.wave == "steady" or hints.value is not None:
                return hints.value is True
            return signals.flip(self._name(channel), self._now, hints.period or 60.0, hints.share)
        number = self._related(channel, kind)
        number = _resolved(self._signal(channel, kind) if number is None else number, hints.resolution)
        if kind.range is not None:
            number = min(max(number, kind.range[0]), kind.range[1])
        return round(number) if kind.type == "int" else number

    def _related(self, channel: str, kind: ReadingKind) -> float | None:
        """What follows from other channels; None where nothing does."""
        key, parts = self._parts(channel)
        if not parts:
            return None
        if key == "integral_of":
            rate = per_second(self._kinds[parts[0]].unit, kind.unit) or 0.0
            return rate * self._total(parts[0])
        numbers = [float(self.value(part)) * to_primary(self._kinds[part].unit) for part in parts]
        own = to_primary(kind.unit)
        if key == "above":
            return numbers[0] / own + max(self._signal(channel, kind), 0.0)
        return sum(numbers) / own if key == "sum_of" else _quotient([*numbers, own])

    def _parts(self, channel: str) -> tuple[str, list[str]]:
        """How a channel follows from which others; from none where one of them is missing."""
        key, names = relation(self._kinds[channel].simulate) or ("", ())
        parts = [part_channels(channel, name, self._kinds) for name in names]
        return key, [each for part in parts for each in part] if all(parts) else []

    def _total(self, channel: str) -> float:
        """What a channel adds up to since 2025-01-01: its value times seconds, without noise."""
        if channel not in self._totals:
            self._totals[channel] = self._sum_of_totals(channel)
        return self._totals[channel]

    def _sum_of_totals(self, channel: str) -> float:
        _, parts = self._parts(channel)
        if not parts:
            return self._own_total(channel)
        totals = [self._total(part) * to_primary(self._kinds[part].unit) for part in parts]
        return sum(totals) / to_primary(self._kinds[channel].unit)

    def _own_total(self, channel: str) -> float:
        kind = self._kinds[channel]
        wave, mean, swing = _shape(kind)
        if wave == "daily":
            return signals.daily_total(self._now, mean, swing)
        if wave == "steady":
            swing = 0.0
        period = kind.simulate.period or _A_TURN
        return signals.walk_total(self._name(channel), self._now, mean, swing, period)

    def _signal(self, channel: str, kind: ReadingKind) -> float:
        """A number that follows from no other."""
        hints, name, now = kind.simulate, self._name(channel), self._now
        wave, mean, swing = _shape(kind)
        deviation = signals.noise(name, now, hints.noise if hints.noise is not None else swing / 20)
        match wave:
            case "counter":
                return signals.counter(now, mean, hints.period or 3600.0)
            case "daily":
                return signals.daily(now, mean, swing) + deviation
            case "flip":
                is_up = signals.flip(name, now, hints.period or 60.0, hints.share)
                return mean + (swing if is_up else -swing)
            case "walk":
                return signals.walk(name, now, mean, swing, hints.period or _A_TURN) + deviation
            case _:
                return mean + deviation

    def _name(self, channel: str) -> str:
        return f"{self._seed}/{channel}"


def _shape(kind: ReadingKind) -> tuple[str, float, float]:
    """A number's wave, middle and swing."""
    hints = kind.simulate
    low, high = kind.range or (0.0, 100.0)
    wave = hints.wave or ("counter" if kind.counter else "walk")
    usual = _AN_HOUR if wave == "counter" else (low + high) / 2
    mean = usual if hints.mean is None else hints.mean
    return wave, mean, (high - low) / 10 if hints.swing is None else hints.swing


def _quotient(numbers: Sequence[float]) -> float:
    """The first divided by each of the others; 0 where that is no number."""
    quotient = numbers[0]
    for each in numbers[1:]:
        quotient = quotient / each if each else 0.0
    return quotient if math.isfinite(quotient) else 0.0


def _resolved(number: float, resolution: float) -> float:
    steps = number / resolution
    return number if abs(steps) >= _EXACT else round(round(steps) * resolution, _DIGITS)
