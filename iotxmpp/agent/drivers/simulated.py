"""A driver without hardware: believable values for every channel, commands that take effect."""

import time
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from iotxmpp.agent.drivers import check_settings
from iotxmpp.agent.drivers.moment import Moment
from iotxmpp.agent.drivers.unopened import Unopened
from iotxmpp.errors import CommandFailedError
from iotxmpp.kinds import Effect
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value


class SimulatedSettings(BaseModel):
    """Settings of the simulated driver.

    Attributes:
        seed: Devices with different seeds have different values; the profile's id unless given.
        simulated: It is; other drivers are told so by this word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    seed: str = ""
    simulated: Literal[True] = True


class SimulatedDriver(Unopened):
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

    async def read(self) -> dict[str, Value]:
        """A value for every channel."""
        now = self._clock()
        moment = Moment(self._kinds, seed=self._seed, now=now, given=self._given(now))
        return {channel: moment.value(channel) for channel in self._kinds}

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

    def _given(self, now: float) -> dict[str, Value]:
        """What commands set, as far as it holds still."""
        self._lent = {channel: each for channel, each in self._lent.items() if now < each[1]}
        return self._set | {channel: value for channel, (value, _) in self._lent.items()}
