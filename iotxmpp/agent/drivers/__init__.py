"""Drivers: what speaks to the hardware of one device.

A driver is a class that the entry-point group `iotxmpp.drivers` names, made as
`Class(profile=…, settings=…)`.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Protocol, Self, TypeVar, cast, runtime_checkable

from pydantic import AfterValidator, BaseModel, JsonValue, ValidationError, ValidationInfo

from iotxmpp.agent.drivers.texts import check_plain
from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.faulttexts import fault_texts, guess
from iotxmpp.kindtexts import values_in
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value
from iotxmpp.serving.offloop import call

GROUP = "iotxmpp.drivers"
"""The entry-point group that drivers register in, by their kind's name."""


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    check_plain(path)
    context = info.context or {}
    folder = context.get("folders", {}).get(info.field_name, context.get("folder"))
    return path if folder is None else folder / path


LocalPath = Annotated[Path, AfterValidator(_from_folder)]
"""A path in a driver's settings; a relative one starts at the folder of the file that says it."""

MOST_SETTINGS = 2000
"""Values that a driver's settings may hold."""

_LONGEST_TOLD = 300
_SHOWN_FAULTS = 5
_CONVERTED = ("bool_type", "int_type", "float_type")

SettingsModel = TypeVar("SettingsModel", bound=BaseModel)
Result = TypeVar("Result")


class DeviceSettings(dict[str, object]):
    """Settings of a driver, and the folder in which their relative paths start.

    Attributes:
        folder: The folder; None for the one in which the program was started.
        folders: Those of some settings, which stand in other files.
    """

    def __init__(
        self, settings: Mapping[str, object], folder: Path | None, folders: Mapping[str, Path]
    ) -> None:
        super().__init__(settings)
        self.folder = folder
        self.folders = folders


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What a driver read by itself, at one moment.

    Attributes:
        values: The values by channel, as `Driver.read` gives them.
        at: When they were read, in seconds since 1970 (UTC); None for now.
        is_event: Whether they tell what happened then and is over, such as a press. Each such value is
            published, however soon and however like the one before; `Driver.read` does not give it again.
    """

    values: Mapping[str, Value | OSError]
    at: float | None = None
    is_event: bool = False


class Driver(Protocol):
    """One device's hardware, opened by entering."""

    async def __aenter__(self) -> Self:
        """Opens the hardware; it may be cancelled, and then leaves nothing open, as after an error.

        Raises:
            OSError: It is not there, or cannot be opened.
        """
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the hardware."""
        ...

    async def read(self) -> Mapping[str, Value | OSError]:
        """The current values by channel; a channel that is missing has none now.

        A channel that cannot be read while others can has its error instead, which becomes its problem.

        Raises:
            OSError: The hardware failed, or is gone; the driver is closed, and opened again after a while.
        """
        ...

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Carries out a command of the profile and returns what it answers.

        Raises:
            UnknownCommandError: There is no such command.
            ArgumentsError: The arguments do not fit it; it was not started.
            CommandFailedError: It was started and failed.
        """
        ...


@runtime_checkable
class Pushing(Protocol):
    """A driver that also gives values by itself: it is opened at the agent's start, and kept open.

    Its `read` gives what it knows now without asking, which may be nothing.
    """

    def samples(self) -> AsyncIterator[Sample]:
        """What it gives while it is open, as it comes; asked for once after each opening.

        One without values says that the hardware works, whatever was told before. It ends by being
        cancelled. An error, or an end, closes the driver; it is opened again after a while.

        Raises:
            OSError: The hardware failed, or is gone.
        """
        ...


@runtime_checkable
class Troubled(Protocol):
    """A driver that knows what is wrong with its hardware while values still come."""

    def troubles(self) -> Mapping[str, str]:
        """What is wrong now: a sentence with advice for each thing, by a key that stays the same.

        Asked for every second while the driver is open; each is a problem of the device until it is missing
        here, or the driver is closed. It answers at once, from what it knows.
        """
        ...


@runtime_checkable
class Hasty(Protocol):
    """A driver whose hardware may be tried often: that it is not there is found out at little cost."""

    @property
    def longest_wait(self) -> float:
        """Seconds between two attempts to open it at most, instead of 60."""
        ...


class DriverFactory(Protocol):
    """A driver's class."""

    def __call__(self, *, profile: Profile, settings: Mapping[str, object]) -> Driver:
        """Makes the driver; the hardware is opened by entering it.

        Raises:
            ConfigError: A setting is wrong, or the driver cannot serve the profile.
        """
        ...


async def off_loop(work: Callable[[], Result]) -> Result:
    """What blocking work returns, done in a thread of its own.

    Hardware that hangs holds up neither the loop nor, as a shared pool's threads would, the program's end.
    """
    return cast("Result", await call(work))


def driver_kinds() -> list[str]:
    """The kinds of drivers that are installed."""
    from importlib.metadata import entry_points  # noqa: PLC0415  # 2 MB that most devices need not spare

    return sorted({point.name for point in entry_points(group=GROUP)})


def create_driver(
    profile: Profile, settings: Mapping[str, object], *, kind: str | None = None, folder: Path | None = None
) -> Driver:
    """The driver of a device.

    Args:
        profile: The device's kind.
        settings: The device's own settings, which go before those of the profile.
        kind: Another driver than the profile's, such as `simulated`; the profile's settings are not for it.
        folder: Where relative paths in the device's settings start (`LocalPath`); where the program was
            started unless given. Those in the profile's start at the profile's file.

    Raises:
        ConfigError: There is no such driver, it cannot be loaded, it breaks while it is made, or a setting is
            wrong.
    """
    folders: Mapping[str, Path] = {}
    if kind is None or kind == profile.driver.kind:
        folders = {key: each for key, each in profile.folders.items() if key not in settings}
        kind, settings = profile.driver.kind, {**profile.driver.settings, **settings}
    factory = _factory(kind)
    try:
        return factory(profile=profile, settings=DeviceSettings(settings, folder, folders))
    except (InvalidError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the panic of a library in Rust is no Exception
        raise ConfigError(f"driver {kind!r}: cannot be made: {_told(error)}") from error


def check_settings(model: type[SettingsModel], settings: Mapping[str, object], kind: str) -> SettingsModel:
    """A driver's settings in its own model.

    Args:
        model: The driver's model; paths in it may be a `LocalPath`.
        settings: As the driver was given them.
        kind: The driver's kind.

    Raises:
        ConfigError: They do not fit; the text names each wrong key.
    """
    context: dict[str, object] = {}
    if isinstance(settings, DeviceSettings):
        context = {"folder": settings.folder, "folders": settings.folders}
    if sum(1 for _ in values_in(dict(settings))) > MOST_SETTINGS:  # a fault of each would take long
        raise ConfigError(f"driver {kind}: driver: more than {MOST_SETTINGS} values; give fewer")
    return _checked(model, settings, f"driver {kind}: ", "driver", context)


def check_source(model: type[SettingsModel], source: Mapping[str, object], where: str) -> SettingsModel:
    """What a reading or a command is bound to, in the driver's own model.

    Args:
        model: The driver's model.
        source: The free table of the profile.
        where: Its place, such as `readings.temperature.source`.

    Raises:
        ConfigError: It does not fit; the text names each wrong key.
    """
    return _checked(model, source, "", where, None)


def _checked(
    model: type[SettingsModel],
    table: Mapping[str, object],
    said: str,
    where: str,
    context: Mapping[str, object] | None,
) -> SettingsModel:
    """A table in its model, without the conversions of pydantic: for that, "yes" is true, and true is 1."""
    kinds: tuple[str, ...] = ()
    try:
        fitting = model.model_validate(dict(table), context=context)
        kinds = _CONVERTED
        # As JSON, for that has lists and text alone where Python has tuples and paths.
        model.model_validate_json(json.dumps(dict(table), default=str), strict=True, context=context)
    except ValidationError as error:
        faults = fault_texts(error, model, where, kinds=kinds)
        if not kinds or faults:
            more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
            raise ConfigError(f"{said}{'; '.join(faults[:_SHOWN_FAULTS])}{more}") from error
    for name, value in table.items():  # of a choice of numbers, true is 1 even without conversions
        if isinstance(value, bool) and not isinstance(getattr(fitting, name, value), bool):
            raise ConfigError(f"{said}{where}.{name}: Input should be a number, not {str(value).lower()}")
    return fitting


def _factory(kind: str) -> DriverFactory:
    ours = _own_factory(kind)
    if ours is not None:
        return ours
    from importlib.metadata import entry_points  # noqa: PLC0415  # as above

    points = tuple(entry_points(group=GROUP, name=kind))
    if not points:
        kinds = driver_kinds()
        meant = guess(kind, kinds)
        known = f"; installed are {', '.join(kinds) or 'none'}"
        raise ConfigError(f"driver {kind[:80]!r}: not installed{meant if meant.startswith(':') else known}")
    if len({point.value for point in points}) > 1:
        places = ", ".join(sorted(point.value for point in points))
        raise ConfigError(f"driver {kind!r}: installed more than once, as {places}; remove all but one")
    try:
        factory: DriverFactory = points[0].load()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # as above
        raise ConfigError(f"driver {kind!r}: {points[0].value} cannot be loaded: {_told(error)}") from error
    return factory


def _told(error: BaseException) -> str:
    """What a driver raised, and where, in one line."""
    import traceback  # noqa: PLC0415  # only whoever has a broken driver pays for it

    said = " ".join(str(error).split())[:_LONGEST_TOLD]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{f': {said}' if said else ''}{place}; mend the driver, or choose another"


def _own_factory(kind: str) -> DriverFactory | None:
    """Those that come along are found without asking what is installed."""
    factory: DriverFactory | None = None
    match kind:
        case "host":
            from iotxmpp.agent.drivers.host import HostDriver  # noqa: PLC0415  # each imports this module

            factory = HostDriver
        case "simulated":
            from iotxmpp.agent.drivers.simulated import SimulatedDriver  # noqa: PLC0415  # likewise

            factory = SimulatedDriver
        case "gpio":
            from iotxmpp.agent.drivers.gpio import GpioDriver  # noqa: PLC0415  # likewise

            factory = GpioDriver
        case "i2c":
            from iotxmpp.agent.drivers.i2c import I2cDriver  # noqa: PLC0415  # likewise

            factory = I2cDriver
        case "modbus":
            from iotxmpp.agent.drivers.modbus import ModbusDriver  # noqa: PLC0415  # likewise

            factory = ModbusDriver
        case "onewire":
            from iotxmpp.agent.drivers.onewire import OneWireDriver  # noqa: PLC0415  # likewise

            factory = OneWireDriver
        case "python":
            from iotxmpp.agent.drivers.python import PythonDriver  # noqa: PLC0415  # likewise

            factory = PythonDriver
    return factory
