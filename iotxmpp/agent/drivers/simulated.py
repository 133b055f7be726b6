"""A driver without hardware: believable values for every channel, commands that take effect."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue

from iotxmpp.agent.drivers import check_settings, signals
from iotxmpp.errors import CommandFailedError
from iotxmpp.kinds import Effect, ReadingKind
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

_AN_HOUR = 10.0
_DIGITS = 9


class SimulatedSettings(BaseModel):
    """Settings of the simulated driver.

    Attributes:
        seed: Devices with different seeds have different values; the profile's id unless given.
        simulated: It is; other drivers are told so by this word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    seed: str = ""
    simulated: Literal[True] = True


class SimulatedDriver:
    """Simulates any profile; its values depend on the seed and the clock alone, and on the commands it got.

    Args:
        profile: The kind of device.
        settings: See `SimulatedSettings`.
        clock: Gives the seconds since 1970.
    """

    def __init__(
        self, *, profile: Profile, settings: Mapping[str, object], clock: Callable[[], float] = time.time
    ) -> None:
        self._profile = profile
        self._seed = check_settings(SimulatedSettings, settings, "simulated").seed or profile.id
        self._clock = clock
        self._kinds = profile.reading_kinds()
        self._set: dict[str, Value] = {}
        self._lent: dict[str, tuple[Value, float]] = {}

    async def __aenter__(self) -> Self:
        """There is nothing to open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to release."""

    async def read(self) -> dict[str, Value]:
        """A value for every channel."""
        now = self._clock()
        return {channel: self._value(channel, kind, now) for channel, kind in self._kinds.items()}

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Checks the command against the profile and carries out its simulated effect.

        Returns:
            The channel that was set and its value; for a command without an effect, that it was simulated.

        Raises:
            UnknownCommandError: The profile has no such command.
            ArgumentsError: The arguments do not fit it.
            CommandFailedError: It names a channel that the device does not have.
        """
        checked = self._profile.check_arguments(name, arguments)
        effect = self._profile.commands[name].simulated
        if effect is None:
            return {"simulated": True}
        channel = effect.channel(checked)
        if channel not in self._kinds:
            raise CommandFailedError(f"{name}: {self._profile.id} has no channel {channel}")
        value = self._apply(effect, channel, checked)
        return {channel: value}

    def _apply(self, effect: Effect, channel: str, arguments: Mapping[str, Value]) -> Value:
        value = effect.value if effect.to is None else arguments.get(effect.to, effect.value)
        lasting = arguments.get(effect.lasting) if effect.lasting else None
        if isinstance(lasting, int | float):
            self._lent[channel] = (value, self._clock() + lasting)
        else:
            self._lent.pop(channel, None)
            self._set[channel] = value
        return value

    def _value(self, channel: str, kind: ReadingKind, now: float) -> Value:
        if channel in self._lent:
            value, until = self._lent[channel]
            if now < until:
                return value
            del self._lent[channel]
        if channel in self._set:
            return self._set[channel]
        return simulated_value(f"{self._seed}/{channel}", kind, now)


def simulated_value(name: str, kind: ReadingKind, now: float) -> Value:
    """What a channel of that kind reads at that time.

    Args:
        name: Seeds the signal.
        kind: The channel's type, range, and how it is simulated.
        now: Seconds since 1970.
    """
    hints = kind.simulate
    if kind.type == "str":
        return hints.value if isinstance(hints.value, str) else "ok"
    if kind.type == "bool":
        if hints.wave == "steady" or hints.value is not None:
            return hints.value is True
        return signals.flip(name, now, hints.period or 60.0, hints.share)
    number = _resolved(_number(name, kind, now), hints.resolution)
    if kind.range is not None:
        number = min(max(number, kind.range[0]), kind.range[1])
    return round(number) if kind.type == "int" else number


def _number(name: str, kind: ReadingKind, now: float) -> float:
    hints = kind.simulate
    low, high = kind.range or (0.0, 100.0)
    wave = hints.wave or ("counter" if kind.counter else "walk")
    usual = _AN_HOUR if wave == "counter" else (low + high) / 2
    mean = usual if hints.mean is None else hints.mean
    swing = hints.swing if hints.swing is not None else (high - low) / 10
    deviation = signals.noise(name, now, hints.noise if hints.noise is not None else swing / 20)
    match wave:
        case "counter":
            return signals.counter(now, mean, hints.period or 3600.0)
        case "daily":
            return signals.daily(now, mean, swing) + deviation
        case "steady":
            return mean + deviation
        case "flip":
            return mean + swing * (1 if signals.flip(name, now, hints.period or 60.0, hints.share) else -1)
        case "walk":
            return signals.walk(name, now, mean, swing, hints.period or 600.0) + deviation


def _resolved(number: float, resolution: float) -> float:
    return round(round(number / resolution) * resolution, _DIGITS)
