"""Sensors: a function, the channels that it reads, and when each is published."""

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from iotxmpp.about import Channel, ValueType
from iotxmpp.agent.channels import check_channel, value_type
from iotxmpp.errors import InvalidError

AT_LEAST = 60.0
"""Seconds after which an unchanged value is published all the same, unless somebody says otherwise.

The server keeps no readings: so long, at most, a controller that has just come waits for them.
"""

Bounds = tuple[float, float]
Channels = str | Mapping[str, str | Channel | None]
"""One channel's name; or several, each with its unit or its whole description."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """When a channel is sampled and published.

    Attributes:
        every: Seconds between samples.
        on_change: Whether only changed samples are published.
        delta: The change of a number that counts is greater than this.
        at_least: With `on_change`, seconds after which an unchanged value is published all the same.
    """

    every: float = 30.0
    on_change: bool = False
    delta: float = 0.0
    at_least: float = AT_LEAST

    def __post_init__(self) -> None:
        for name in ("every", "at_least"):
            seconds = getattr(self, name)
            if not (seconds > 0 and math.isfinite(seconds)):
                raise InvalidError(f"{name}: {seconds} s; give more than 0")
        if not (self.delta >= 0 and math.isfinite(self.delta)):
            raise InvalidError(f"delta: {self.delta}; give 0 or more")
        if self.delta and not self.on_change:
            raise InvalidError("delta counts only with on_change=True")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """A function that reads one or several channels at a time.

    Attributes:
        function: Plain or a coroutine function, without arguments. For one channel it returns the value, for
            several a mapping by name or a tuple in their order; None for no reading now.
        channels: What it reads, by name.
        rhythms: When each of them is published.
        label: Its name in problems and logs.
        single: Whether it returns a bare value.
    """

    label: str
    function: Callable[[], object]
    channels: Mapping[str, Channel]
    rhythms: Mapping[str, Rhythm]
    single: bool = False

    def values(self, result: object) -> dict[str, object]:
        """What the function returned, by name, without what was not read.

        Raises:
            InvalidError: It is no mapping, nor a tuple with one value a channel.
        """
        if result is None:
            return {}
        if self.single:
            return dict.fromkeys(self.channels, result)
        if isinstance(result, tuple) and len(result) == len(self.channels):
            result = dict(zip(self.channels, result, strict=True))
        if not isinstance(result, Mapping):
            raise InvalidError(
                f"{self.label}: returned {type(result).__name__};"
                f" expected a dict with {', '.join(self.channels)}"
            )
        return {name: value for name, value in result.items() if value is not None}


def make_sensor(  # noqa: PLR0913  # what one line of a user's script can say
    function: Callable[[], object],
    channels: Channels,
    *,
    unit: str | None = None,
    bounds: Bounds | Mapping[str, Bounds] | None = None,
    description: str = "",
    rhythm: Rhythm,
    known: Mapping[str, Channel],
) -> Sensor:
    """A sensor from a function, with types by its return annotation.

    Args:
        function: The function.
        channels: What it reads.
        unit: The unit of one channel.
        bounds: The range of all, or of some by name.
        description: For people.
        rhythm: When to sample and publish.
        known: Channels that a profile describes; what is not given here comes from there.

    Raises:
        InvalidError: A name, unit or range breaks the rules, or the annotation gives a channel no type.
    """
    single = isinstance(channels, str)
    given: Mapping[str, str | Channel | None] = {channels: unit} if isinstance(channels, str) else channels
    if not given:
        raise InvalidError("a sensor reads at least one channel")
    if not single and (unit is not None or description):
        raise InvalidError("several channels: give each its unit in the dict, or a whole Channel")
    ranges = bounds if isinstance(bounds, Mapping) else dict.fromkeys(given, bounds)
    if ranges.keys() - given.keys():
        raise InvalidError(f"range: {min(ranges.keys() - given.keys())!r} is none of the sensor's channels")
    inferred = _types(function, list(given), single=single)

    def described(name: str, what: str | Channel | None) -> Channel:
        if isinstance(what, Channel):
            return what
        profiled = known.get(name)
        if profiled is not None and what is None and ranges.get(name) is None:
            return profiled
        return Channel(
            type=profiled.type if profiled else _inferred(name, inferred.get(name)),
            unit=what,
            range=ranges.get(name),
            description=description or (_first_line(function) if single else ""),
        )

    return Sensor(
        label=next(iter(given)) if single else getattr(function, "__name__", ", ".join(given)),
        function=function,
        channels={name: check_channel(name, described(name, what)) for name, what in given.items()},
        rhythms=dict.fromkeys(given, rhythm),
        single=single,
    )


def _inferred(name: str, kind: ValueType | None) -> ValueType:
    if kind is None:
        raise InvalidError(
            f"sensor {name}: annotate what the function returns: float, int, bool or str for one channel,"
            " dict[str, float] or tuple[float, int] for several; or describe the channel with Channel(type=…)"
        )
    return kind


def _types(function: Callable[[], object], names: list[str], *, single: bool) -> dict[str, ValueType | None]:
    try:
        annotation: Any = get_type_hints(function).get("return")
    except (NameError, TypeError) as error:
        raise InvalidError(f"sensor {names[0]}: an annotation cannot be resolved: {error}") from error
    if single:
        return {names[0]: value_type(annotation)}
    annotation = _without_none(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple and len(inner) == len(names) and Ellipsis not in inner:
        return {name: value_type(kind) for name, kind in zip(names, inner, strict=True)}
    if isinstance(origin, type) and issubclass(origin, Mapping) and inner and inner[0] is str:
        return dict.fromkeys(names, value_type(inner[1]))
    return {}


def _without_none(annotation: object) -> object:
    parts = [part for part in get_args(annotation) if part is not types.NoneType]
    return parts[0] if len(parts) == 1 and types.NoneType in get_args(annotation) else annotation


def _first_line(function: Callable[[], object]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]
