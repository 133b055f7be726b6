"""Agents without code: a profile says what a kind of device reads and does, a driver does it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from iotxmpp.agent.agent import Agent
from iotxmpp.agent.drivers import Driver
from iotxmpp.agent.sensors import AT_LEAST, Rhythm, Sensor
from iotxmpp.arguments import CommandSpec
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import ReadingKind
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

EVERY = 30.0
"""Seconds between samples of a channel whose profile says nothing."""

_LOGGER = logging.getLogger(__name__)


class OpenedDriver:
    """A driver that is opened when it is first needed, and opened anew after the hardware failed."""

    def __init__(self, make: Callable[[], Driver]) -> None:
        """Makes it; `make` makes a driver that is not open yet."""
        self._make = make
        self._stack = AsyncExitStack()
        self._driver: Driver | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Opens nothing yet: hardware that is not there is a problem of its sensor, not of the agent."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the hardware."""
        await self._release()

    async def read(self) -> Mapping[str, Value]:
        """What the driver reads."""
        values: Mapping[str, Value] = await self._use(lambda driver: driver.read())
        return values

    async def command(self, name: str, arguments: Mapping[str, Value]) -> object:
        """What the driver answers to a command."""
        return await self._use(lambda driver: driver.command(name, arguments))

    async def _use(self, work: Callable[[Driver], Any]) -> Any:  # noqa: ANN401  # what the driver gives
        driver = await self._opened()
        try:
            return await work(driver)
        except OSError:
            await self._release()
            raise

    async def _opened(self) -> Driver:
        async with self._opening:
            if self._driver is None:
                self._driver = await self._stack.enter_async_context(self._make())
            return self._driver

    async def _release(self) -> None:
        async with self._opening:
            self._driver = None
            try:
                await self._stack.aclose()
            except OSError as error:
                _LOGGER.warning("the driver could not be closed: %s", error)


def equip(  # noqa: PLR0913  # what an agent's file can say
    agent: Agent,
    profile: Profile,
    make_driver: Callable[[], Driver],
    *,
    every: float | None = None,
    at_least: float | None = None,
    rename: Mapping[str, str] | None = None,
) -> None:
    """Gives an agent the channels and the commands of a profile, served by a driver.

    Args:
        agent: The agent, not yet running.
        profile: The kind of device.
        make_driver: Makes its driver, not yet open.
        every: Seconds between samples of every channel; what the profile says unless given.
        at_least: Seconds after which an unchanged value of a channel with `on_change` is published all the
            same; what the profile says unless given.
        rename: Other names for some channels.

    Raises:
        ConfigError: A renamed channel is not in the profile, two have one name, or `at_least` is given and no
            channel has `on_change`.
        InvalidError: A channel or a command breaks the rules.
    """
    names = _names(profile, rename or {})
    driver = OpenedDriver(make_driver)

    async def read() -> dict[str, Value]:
        return {names.get(name, name): value for name, value in (await driver.read()).items()}

    kinds = profile.reading_kinds()
    if at_least is not None and not any(kind.on_change for kind in kinds.values()):
        raise ConfigError(f"at_least: profile {profile.id} has no channel with on_change = true; remove it")
    agent.profile = f"{profile.id} {profile.version}"
    agent.add_resource(driver)
    if kinds:
        agent.add_sensor(
            Sensor(
                label=profile.id,
                function=read,
                channels={names[name]: channel for name, channel in profile.channels().items()},
                rhythms={names[name]: _rhythm(kind, every, at_least) for name, kind in kinds.items()},
            )
        )
    for name, about in profile.command_about().items():
        agent.add_command(CommandSpec.from_about(name, about), partial(_command, driver, name))


def _rhythm(kind: ReadingKind, every: float | None, at_least: float | None) -> Rhythm:
    return Rhythm(
        every=every or kind.every or EVERY,
        on_change=kind.on_change,
        delta=kind.delta or 0.0,
        at_least=at_least or kind.at_least or AT_LEAST,
    )


async def _command(driver: OpenedDriver, name: str, /, **arguments: Value) -> object:
    return await driver.command(name, arguments)


def _names(profile: Profile, rename: Mapping[str, str]) -> dict[str, str]:
    """Each channel's name in the profile, with its name on this device."""
    channels = profile.channels()
    for name in rename:
        if name not in channels:
            raise ConfigError(
                f"rename.{name}: profile {profile.id} has no such channel; it has"
                f" {', '.join(channels) or 'none'}"
            )
    names = {name: rename.get(name, name) for name in channels}
    if len(set(names.values())) != len(names):
        raise ConfigError("rename: two channels have one name")
    return names
