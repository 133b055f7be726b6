"""Agents without code: a profile says what a kind of device reads and does, a driver does it."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from pydantic import JsonValue

from iotxmpp.agent.agent import Agent
from iotxmpp.agent.calibration import Calibration, calibrator
from iotxmpp.agent.drivers import Driver, Pushing
from iotxmpp.agent.feeding import Feed, Gate
from iotxmpp.agent.opening import OpenedDriver, backoff_for
from iotxmpp.agent.righting import Righting
from iotxmpp.agent.sensors import AT_LEAST, Rhythm, Sensor
from iotxmpp.arguments import CommandSpec
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import ReadingKind
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

EVERY = 30.0
"""Seconds between samples of a channel whose profile says nothing."""


def equip(  # noqa: PLR0913  # what an agent's file can say
    agent: Agent,
    profile: Profile,
    make_driver: Callable[[], Driver],
    *,
    every: float | None = None,
    at_least: float | None = None,
    rename: Mapping[str, str] | None = None,
    calibration: Mapping[str, Calibration] | None = None,
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
        calibration: How to put some channels right, as `calibrator` takes it.

    Raises:
        ConfigError: A renamed or calibrated channel is not in the profile, two have one name, `at_least` is
            given and no channel has `on_change`, or the driver cannot serve the profile.
        InvalidError: A channel or a command breaks the rules.
    """
    kinds = profile.reading_kinds()
    names = _names(profile.id, kinds, rename or {})
    if at_least is not None and not any(kind.on_change for kind in kinds.values()):
        raise ConfigError(f"at_least: profile {profile.id} has no channel with on_change = true; remove it")
    right = Righting(kinds, calibrate=calibrator(profile, calibration or {}), names=names)
    rhythms = {names[name]: _rhythm(kind, every, at_least) for name, kind in kinds.items()}
    said = frozenset(names[name] for name, kind in kinds.items() if every or kind.every)
    gate = Gate(rhythms, said=said)

    async def read() -> dict[str, Value]:
        return gate.fresh(right.righted(feed.readable(await opened.read())))

    sensor = Sensor(
        label=profile.id,
        function=read,
        channels={names[name]: channel for name, channel in profile.channels().items()},
        rhythms=rhythms,
    )
    feed = Feed(sensor, gate, right=right, outlet=agent.outlet)
    example = make_driver()  # a wrong setting shows now, not at the first sample
    opened = OpenedDriver(
        make_driver,
        take=feed.take if isinstance(example, Pushing) else None,
        failed=feed.failed,
        troubled=feed.troubled,
        backoff=backoff_for(example),
    )
    agent.profile = f"{profile.id} {profile.version}"
    agent.add_resource(opened)
    if kinds:
        agent.add_sensor(sensor)
    for name, about in profile.command_about().items():
        agent.add_command(CommandSpec.from_about(name, about), partial(_command, opened, name))


def _rhythm(kind: ReadingKind, every: float | None, at_least: float | None) -> Rhythm:
    return Rhythm(
        every=every or kind.every or EVERY,
        on_change=kind.on_change,
        delta=kind.delta or 0.0,
        at_least=at_least or kind.at_least or AT_LEAST,
    )


async def _command(driver: OpenedDriver, name: str, /, **arguments: Value) -> JsonValue:
    return await driver.command(name, arguments)


def _names(profile: str, channels: Collection[str], rename: Mapping[str, str]) -> dict[str, str]:
    """Each channel's name in the profile, with its name on this device."""
    for name in rename:
        if name not in channels:
            raise ConfigError(
                f"rename.{name}: profile {profile} has no such channel; it has"
                f" {', '.join(channels) or 'none'}"
            )
    names = {name: rename.get(name, name) for name in channels}
    if len(set(names.values())) != len(names):
        raise ConfigError("rename: two channels have one name")
    return names
