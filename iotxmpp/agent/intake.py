"""Takes readings that a program hands over one by one: checked, with their units, as quickly as can be."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from iotxmpp.about import Channel
from iotxmpp.agent.channels import INTEGERS, check_reading
from iotxmpp.agent.commanding import Latest
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.taking import Given
from iotxmpp.agent.plan import Plan
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value
from iotxmpp.senml import ABSOLUTE

if TYPE_CHECKING:
    import asyncio

LATEST = 253_402_300_800.0
"""Readings are of a time before this, the year 10000."""

_BOUNDS: Mapping[str, tuple[type, float, float]] = {
    "float": (float, -sys.float_info.max, sys.float_info.max),
    "int": (int, -INTEGERS, INTEGERS - 1),
    "bool": (bool, 0, 1),
}


class _Rule(NamedTuple):
    """What is known of a channel: a value of that very type between those bounds is good as it is."""

    name: str
    unit: str | None
    type: type
    low: float
    high: float
    urgent: bool | Callable[[Value], bool]


class Intake:
    """Checks single readings against their channels' rules, and has them kept."""

    def __init__(self, plan: Plan, keeper: Keeper, latest: Latest) -> None:
        """Makes one.

        Args:
            plan: What was declared.
            keeper: Where readings are kept.
            latest: The newest value and its unit, by channel.
        """
        self._channels = plan.channels
        self._rules = {
            name: _rule(name, channel, plan.urgent.get(name, False))
            for name, channel in plan.channels.items()
        }
        self._keeper = keeper
        self._latest = latest

    def take(
        self, channel: str, value: object, at: float | None = None, *, urgent: bool = False
    ) -> "asyncio.Future[None]":
        """Takes one reading.

        Args:
            channel: A declared channel.
            value: Its value.
            at: When it was read, in seconds since 1970 (UTC); None for now.
            urgent: It is committed at once, whatever the channel says.

        Returns:
            What ends as soon as it is on disk, in memory where there is none, or acknowledged.

        Raises:
            InvalidError: There is no such channel, the value does not fit it, or the time is none.
            OutboxFullError: There is no room, and the policy is to keep what is there.
        """
        (name, good, unit, at), hurries = self._checked(channel, value, at)
        self._latest[name] = good, unit
        return self._keeper.take_one(name, good, unit, at, urgent=urgent or hurries)

    def take_many(
        self,
        readings: Iterable[tuple[str, object] | tuple[str, object, float | None]],
        *,
        urgent: bool = False,
    ) -> "asyncio.Future[None] | None":
        """Takes many readings, or none of them where one is wrong.

        Args:
            readings: The channel, the value and the time of each, as `take` has them; no time is now.
            urgent: They are committed at once, whatever their channels say.

        Returns:
            What ends as soon as all of them are kept, or acknowledged; None for no readings.

        Raises:
            InvalidError: One of them is wrong; the text begins with its place, from 0.
            OutboxFullError: There is no room, and the policy is to keep what is there.
        """
        given: list[Given] = []
        for index, each in enumerate(readings):
            try:
                reading, hurries = self._checked(*_parts(each))
            except InvalidError as error:
                raise InvalidError(f"reading {index}: {error}") from error
            given.append(reading)
            urgent = urgent or hurries
        if not given:
            return None
        self._keeper.take_many(given, urgent=urgent)
        for name, good, unit, _ in given:
            self._latest[name] = good, unit
        return self._keeper.kept()

    def _checked(self, channel: str, value: object, at: float | None) -> tuple[Given, bool]:
        """The reading as it is taken, and whether it is urgent."""
        rule = self._rules.get(channel)
        if rule is None:
            raise InvalidError(unknown_channel(channel, self._channels))
        name, unit, kind, low, high, is_urgent = rule
        if type(value) is kind and low <= value <= high:  # type: ignore[operator]  # such a type is ordered
            good: Value = value  # type: ignore[assignment]  # it is of one of those types
        else:
            good = check_reading(name, self._channels[channel], value)
        if at is not None:
            check_time(at)
            at = float(at)
        urgent = is_urgent is not False and (
            is_urgent is True or (callable(is_urgent) and bool(is_urgent(good)))
        )
        return (name, good, unit, at), urgent


def _parts(reading: object) -> tuple[str, object, float | None]:
    if type(reading) is tuple and len(reading) == 2 and type(reading[0]) is str:  # noqa: PLR2004  # two parts
        return reading[0], reading[1], None  # what comes by the thousand; `match` takes four times as long
    match reading:
        case (str(channel), value):
            return channel, value, None
        case (str(channel), value, None | float() | int() as at):
            return channel, value, at
    raise InvalidError(f"{type(reading).__name__}: give (channel, value) or (channel, value, time)")


def check_time(at: float) -> None:
    """Checks when a reading was read.

    Raises:
        InvalidError: It is none that SenML carries.
    """
    if not ABSOLUTE <= at < LATEST:
        raise InvalidError(f"time {at:.0f} s since 1970: set the clock, or give the right time")


def unknown_channel(name: str, channels: Mapping[str, Channel]) -> str:
    """Says that there is no such channel."""
    return f"channel {name!r} is not declared; declared are: {', '.join(channels) or 'none'}"


def _rule(name: str, channel: Channel, urgent: bool | Callable[[Value], bool]) -> _Rule:  # noqa: FBT001  # as in a plan
    kind, low, high = _BOUNDS.get(channel.type, (type(None), 0, 0))  # text is looked at more closely
    if channel.range is not None:
        low, high = max(low, channel.range[0]), min(high, channel.range[1])
    unit = None if channel.unit is None else str.__str__(channel.unit)
    return _Rule(str.__str__(name), unit, kind, low, high, urgent)
