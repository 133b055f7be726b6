"""How devices of one kind differ: each has a middle, a swing, a noise and an hour of its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from iotxmpp.agent.drivers.signals import chance
from iotxmpp.kinds import ReadingKind, Simulate
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

_AN_HOUR = 10.0
_HUNDRED = (0.0, 100.0)
_DRIER = 0.03
"""How much drier, as a part, air gets by a degree, where no water comes or goes; a mild version of it."""


def varied(profile: Profile, name: str) -> Profile:
    """The profile as one device shows it in a simulation.

    Args:
        profile: The kind.
        name: Seeds the differences.
    """
    readings = {key: _varied(kind, f"{name}/{key}") for key, kind in profile.readings.items()}
    return profile.model_copy(update={"readings": readings})


def shift(name: str) -> float:
    """Seconds that a device's day is early or late, up to 45 minutes."""
    return _about(f"{name}/shift") * 2700


def _varied(kind: ReadingKind, name: str) -> ReadingKind:
    hints = kind.simulate
    if kind.type == "str" or hints.wave == "steady" or hints.value is not None:
        return kind
    if kind.type == "bool" or hints.wave == "flip":
        period = (hints.period or 60.0) * (1 + _about(f"{name}/period") / 5)
        return _with(kind, hints, period=period)
    if (hints.wave or ("counter" if kind.counter else "walk")) == "counter":
        mean = _AN_HOUR if hints.mean is None else hints.mean
        return _with(kind, hints, mean=mean * (1 + _about(f"{name}/mean") * 0.3))
    low, high = kind.range or _HUNDRED
    mean = (low + high) / 2 if hints.mean is None else hints.mean
    swing = (high - low) / 10 if hints.swing is None else hints.swing
    noise = swing / 20 if hints.noise is None else hints.noise
    return _with(
        kind,
        hints,
        mean=mean + swing * _about(f"{name}/mean") * 0.3,
        swing=swing * (1 + _about(f"{name}/swing") * 0.15),
        noise=noise * (1 + _about(f"{name}/noise") * 0.3),
    )


def _with(kind: ReadingKind, hints: Simulate, **changes: float) -> ReadingKind:
    return kind.model_copy(update={"simulate": hints.model_copy(update=changes)})


def _about(name: str) -> float:
    """An even number from -1 to 1."""
    return 2 * chance(name, 0) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Air:
    """A thermometer and a hygrometer in the same air: when it is warm, it is dry.

    Attributes:
        temperature: The channel in degrees Celsius.
        humidity: The channel of the relative humidity.
        mean: The temperature at which the humidity is as it would be without.
        kind: The kind of the humidity's channel.
    """

    temperature: str
    humidity: str
    mean: float
    kind: ReadingKind

    def felt(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values, with the humidity that belongs to the temperature."""
        warmth, humidity = values.get(self.temperature), values.get(self.humidity)
        if not isinstance(warmth, float) or not isinstance(humidity, float):
            return dict(values)
        low, high = self.kind.range or _HUNDRED
        drier = min(max(humidity * math.exp(-_DRIER * (warmth - self.mean)), low), high)
        resolution = self.kind.simulate.resolution
        return {**values, self.humidity: min(round(round(drier / resolution) * resolution, 9), high)}


def air_of(profile: Profile) -> Air | None:
    """The one pair of a thermometer and a hygrometer of a profile; None where there is none, or several."""
    kinds = profile.reading_kinds()
    warm = [name for name, kind in kinds.items() if (kind.quantity, kind.unit) == ("temperature", "Cel")]
    damp = [name for name, kind in kinds.items() if (kind.quantity, kind.unit) == ("humidity", "%RH")]
    if len(warm) != 1 or len(damp) != 1 or {kinds[warm[0]].type, kinds[damp[0]].type} != {"float"}:
        return None
    mean = kinds[warm[0]].simulate.mean
    if mean is None:
        return None
    return Air(temperature=warm[0], humidity=damp[0], mean=mean, kind=kinds[damp[0]])
