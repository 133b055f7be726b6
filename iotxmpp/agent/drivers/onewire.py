"""1-Wire thermometers, such as the DS18B20, as the Linux kernel shows them below `/sys/bus/w1/devices`."""

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from iotxmpp.agent.drivers import check_settings, check_source, off_loop
from iotxmpp.agent.drivers.onewire_tree import SimulatedTree
from iotxmpp.agent.drivers.texts import PlainPath
from iotxmpp.errors import ConfigError, UnknownCommandError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

_ID = re.compile(r"(10|22|28|3b|42)-[0-9a-f]{12}")
_VALUE = re.compile(r"\bt=(-?[0-9]{1,9})(?![0-9])")
_MILLIDEGREES = re.compile(r"-?[0-9]{1,9}")
_MOST = 4096
_POWER_ON = 85_000
_BROKEN = (127_937, 127_938, 127_940)
_COLDEST, _HOTTEST = -55_000, 125_000
_NO_BUS = (
    "{root}: no 1-Wire bus; on a Raspberry Pi: sudo raspi-config nonint do_onewire 0, and reboot (the"
    " sensor's data wire is at GPIO4 then, with 4.7 kOhm to 3.3 V)"
)


def _known_id(text: str) -> str:
    if not _ID.fullmatch(text.lower()):
        raise ValueError(f"{text!r}: use a thermometer's id as the kernel has it, such as 28-0316a2794ff3")
    return text.lower()


SensorId = Annotated[str, AfterValidator(_known_id)]


class OneWireSettings(BaseModel):
    """Settings of the onewire driver.

    Attributes:
        root: Where the kernel shows the bus.
        id: The sensor's id, such as `28-0316a2794ff3`: of all channels a list in their order, or by channel a
            table. For one channel the only sensor on the bus unless given.
        simulated: Whether the bus is a made-up one in a temporary directory.
        seed: Simulated devices with different seeds differ; the profile's id unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    root: PlainPath = Path("/sys/bus/w1/devices")
    id: SensorId | list[SensorId] | dict[str, SensorId] = Field(default_factory=list)
    simulated: bool = False
    seed: str = ""


class OneWireSource(BaseModel):
    """Which sensor a channel is.

    Attributes:
        id: Its id; the device's settings go before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: SensorId | None = None


class OneWireDriver:
    """Reads thermometers; it has no commands.

    Args:
        profile: The kind of device; its channels are floats in Cel.
        settings: See `OneWireSettings`.

    Raises:
        ConfigError: A setting or a source is wrong, or the profile has something that this driver does not
            serve.
    """

    def __init__(self, *, profile: Profile, settings: Mapping[str, object]) -> None:
        self._settings = check_settings(OneWireSettings, settings, "onewire")
        for channel, kind in profile.reading_kinds().items():
            if kind.type != "float" or kind.unit not in {"Cel", None}:
                raise ConfigError(f"driver onewire: {channel} is a float in Cel")
        if profile.commands:
            raise ConfigError(f"driver onewire: no command {next(iter(profile.commands))!r}; it has none")
        self._ids = _ids(profile, self._settings)
        self._kinds = profile.reading_kinds()
        self._seed = self._settings.seed or profile.id
        self._root = self._settings.root
        self._tree: SimulatedTree | None = None
        self._sensors: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        """Looks for the sensors.

        Raises:
            ConfigError: There are several, and nobody says which.
            OSError: There is no bus, or no sensor on it.
        """
        if self._settings.simulated:
            self._tree = SimulatedTree(self._kinds, self._ids, seed=self._seed)
            self._root = self._tree.root
        try:
            self._sensors = await off_loop(self._find)
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to release but a simulated bus."""
        self._close()

    async def read(self) -> Mapping[str, Value | OSError]:
        """The temperatures; each takes a sensor up to 0.75 s.

        Raises:
            OSError: None of the sensors can be read.
        """
        return await off_loop(self._read)

    async def command(self, name: str, arguments: Mapping[str, Value]) -> None:  # noqa: ARG002  # it has none
        """Refuses.

        Raises:
            UnknownCommandError: Always.
        """
        raise UnknownCommandError(f"command {name!r}: driver onewire has none")

    def _close(self) -> None:
        if self._tree is not None:
            self._tree.close()
            self._tree = None

    def _find(self) -> dict[str, str]:
        """Each channel's sensor, by its id; those that are given need not be there yet."""
        if not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, _NO_BUS.format(root=self._root))
        if self._tree is not None:
            return self._tree.ids
        return {channel: known or self._only() for channel, known in self._ids.items()}

    def _only(self) -> str:
        found = thermometers(self._root)
        if not found:
            raise FileNotFoundError(
                errno.ENODEV,
                f"{self._root}: no thermometer on the bus; check its three wires and the resistor",
            )
        if len(found) > 1:
            raise ConfigError(
                f'driver onewire: {len(found)} sensors: {", ".join(found)}; say which: id = "{found[0]}"'
            )
        return found[0]

    def _read(self) -> dict[str, Value | OSError]:
        if self._tree is not None:
            self._tree.measure()
        values: dict[str, Value | OSError] = {}
        for channel, sensor in self._sensors.items():
            try:
                values[channel] = temperature(self._root / sensor)
            except OSError as error:
                values[channel] = error
        errors = [value for value in values.values() if isinstance(value, OSError)]
        if errors and len(errors) == len(values):
            raise errors[0]
        return values


def thermometers(root: Path) -> list[str]:
    """The ids of the thermometers on a bus, in order.

    Args:
        root: The directory in which the kernel shows the bus.

    Raises:
        OSError: It cannot be listed.
    """
    return sorted(path.name for path in root.iterdir() if _ID.fullmatch(path.name))


def temperature(sensor: Path) -> float:
    """What a sensor measures now, in degrees Celsius.

    Args:
        sensor: Its directory.

    Raises:
        OSError: It is gone, its answer was damaged, or it has not measured.
    """
    try:
        try:
            millidegrees = _checked_answer(_text(sensor / "w1_slave"), sensor.name)
        except FileNotFoundError:
            millidegrees = _plain_answer(_text(sensor / "temperature"), sensor.name)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            errno.ENODEV, f"{sensor.name}: not on the bus any more; check its wires"
        ) from error
    except UnicodeDecodeError as error:
        raise OSError(errno.EIO, f"{sensor.name}: not read: its answer is no text") from error
    return _believable(millidegrees, sensor.name)


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_MOST)


def _checked_answer(text: str, name: str) -> int:
    """The value in `w1_slave`: nine bytes with the word on their checksum, then the value."""
    first, _, _ = text.partition("\n")
    found = _VALUE.search(text)
    if not first.rstrip().endswith("YES") or found is None:
        raise OSError(
            errno.EIO, f"{name}: a damaged answer (its checksum is wrong); check wires and resistor"
        )
    if not any(part.strip("0") for part in first.partition(":")[0].split()):
        raise OSError(
            errno.EIO, f"{name}: only zeros; the data wire touches ground, or the sensor has no power"
        )
    return int(found[1])


def _plain_answer(text: str, name: str) -> int:
    """The value in `temperature`, which is empty after a wrong checksum."""
    digits = text.strip(" \t\r\n")  # not all else that Python calls a space, which `int` takes for none
    if not _MILLIDEGREES.fullmatch(digits):
        raise OSError(errno.EIO, f"{name}: a damaged answer; check wires and resistor")
    return int(digits)


def _believable(millidegrees: int, name: str) -> float:
    if millidegrees == _POWER_ON:
        raise OSError(
            errno.EIO, f"{name}: 85 Cel, what it shows before it has measured; check its power at 3.3 V"
        )
    if millidegrees in _BROKEN or not _COLDEST <= millidegrees <= _HOTTEST:
        raise OSError(errno.EIO, f"{name}: {millidegrees / 1000:g} Cel, what no such sensor measures")
    return millidegrees / 1000


def _ids(profile: Profile, settings: OneWireSettings) -> dict[str, str | None]:
    """Each channel's sensor, as the settings and the sources say it."""
    ids = {
        channel: check_source(OneWireSource, source, f"readings.{channel.partition('/')[0]}.source").id
        for channel, source in profile.sources().items()
    }
    given = [settings.id] if isinstance(settings.id, str) else settings.id
    if isinstance(given, list):
        if given and len(given) != len(ids):
            raise ConfigError(f"driver onewire: id: {len(given)} given, for {len(ids)} channels")
        given = dict(zip(ids, given, strict=False))
    for channel, sensor in given.items():
        if channel not in ids:
            raise ConfigError(f"driver onewire: id.{channel}: no such channel; there is {', '.join(ids)}")
        ids[channel] = sensor
    missing = [channel for channel, sensor in ids.items() if sensor is None]
    if missing and len(ids) > 1 and not settings.simulated:
        raise ConfigError(
            f"driver onewire: which sensor is {missing[0]}? Give id, a list of {len(ids)}; the ids are the"
            f" names in {settings.root}"
        )
    return ids
