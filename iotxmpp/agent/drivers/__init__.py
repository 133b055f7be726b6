"""Drivers: what speaks to the hardware of one device.

A driver is a class that the entry-point group `iotxmpp.drivers` names, made as
`Class(profile=…, settings=…)`.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from iotxmpp.errors import ConfigError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value
from iotxmpp.validation import explain

GROUP = "iotxmpp.drivers"
"""The entry-point group that drivers register in, by their kind's name."""

SettingsModel = TypeVar("SettingsModel", bound=BaseModel)


class Driver(Protocol):
    """One device's hardware, opened by entering."""

    async def __aenter__(self) -> Self:
        """Opens the hardware.

        Raises:
            OSError: It is not there, or cannot be opened.
        """
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the hardware."""
        ...

    async def read(self) -> Mapping[str, Value]:
        """The current values by channel; a channel that is missing has none now."""
        ...

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Carries out a command of the profile and returns what it answers.

        Raises:
            UnknownCommandError: There is no such command.
            ArgumentsError: The arguments do not fit it; it was not started.
            CommandFailedError: It was started and failed.
        """
        ...


class DriverFactory(Protocol):
    """A driver's class."""

    def __call__(self, *, profile: Profile, settings: Mapping[str, object]) -> Driver:
        """Makes the driver; the hardware is opened by entering it.

        Raises:
            ConfigError: A setting is wrong, or the driver cannot serve the profile.
        """
        ...


def driver_kinds() -> list[str]:
    """The kinds of drivers that are installed."""
    from importlib.metadata import entry_points  # noqa: PLC0415  # 2 MB that most devices need not spare

    return sorted({point.name for point in entry_points(group=GROUP)})


def create_driver(profile: Profile, settings: Mapping[str, object], *, kind: str | None = None) -> Driver:
    """The driver of a device.

    Args:
        profile: The device's kind.
        settings: The device's own settings, which go before those of the profile.
        kind: Another driver than the profile's, such as `simulated`; the profile's settings are not for it.

    Raises:
        ConfigError: There is no such driver, it cannot be loaded, or a setting is wrong.
    """
    if kind is None or kind == profile.driver.kind:
        kind, settings = profile.driver.kind, {**profile.driver.settings, **settings}
    return _factory(kind)(profile=profile, settings=settings)


def check_settings(model: type[SettingsModel], settings: Mapping[str, object], kind: str) -> SettingsModel:
    """A driver's settings in its own model.

    Raises:
        ConfigError: They do not fit; the text names each wrong key.
    """
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        known = f"; known: {', '.join(model.model_fields) or 'none'}"
        raise ConfigError(f"{explain(error, f'driver {kind}: settings')}{known}") from error


def _factory(kind: str) -> DriverFactory:
    ours = _own_factory(kind)
    if ours is not None:
        return ours
    from importlib.metadata import entry_points  # noqa: PLC0415  # as above

    points = tuple(entry_points(group=GROUP, name=kind))
    if not points:
        raise ConfigError(
            f"driver {kind!r}: not installed; installed are {', '.join(driver_kinds()) or 'none'}"
        )
    if len({point.value for point in points}) > 1:
        places = ", ".join(sorted(point.value for point in points))
        raise ConfigError(f"driver {kind!r}: installed more than once, as {places}; remove all but one")
    try:
        factory: DriverFactory = points[0].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"driver {kind!r}: {points[0].value} cannot be loaded: {error}") from error
    return factory


def _own_factory(kind: str) -> DriverFactory | None:
    """Those that come along are found without asking what is installed."""
    match kind:
        case "host":
            from iotxmpp.agent.drivers.host import HostDriver  # noqa: PLC0415  # each imports this module

            return HostDriver
        case "simulated":
            from iotxmpp.agent.drivers.simulated import SimulatedDriver  # noqa: PLC0415  # likewise

            return SimulatedDriver
        case _:
            return None
