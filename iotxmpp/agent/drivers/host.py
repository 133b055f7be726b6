"""The machine that the agent runs on: its load, memory, disk and temperature, by the standard library."""

import errno
import logging
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from iotxmpp.agent.drivers import check_settings, off_loop
from iotxmpp.agent.drivers.mounts import not_mounted
from iotxmpp.agent.drivers.simulated import SimulatedDriver
from iotxmpp.agent.drivers.texts import PlainPath
from iotxmpp.agent.drivers.unopened import Unopened
from iotxmpp.errors import ConfigError, UnknownCommandError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

_LOG = logging.getLogger(__name__)
_CPU_ZONES = ("cpu", "pkg", "soc", "core")
_BELIEVABLE = (-40.0, 150.0)
_MOST = 16 * 1024


class HostSettings(BaseModel):
    """Settings of the host driver.

    Attributes:
        disk: A path on the file system whose use is read.
        proc: Where the kernel shows its figures (Linux).
        thermal: Where the kernel shows its thermal zones (Linux).
        simulated: Whether the values are those of the profile's simulation; `facts` are this machine's.
        seed: Simulated devices with different seeds differ; the profile's id unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    disk: PlainPath = Path("/")
    proc: PlainPath = Path("/proc")
    thermal: PlainPath = Path("/sys/class/thermal")
    simulated: bool = False
    seed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where a channel comes from: its unit, and what reads it. Blocks; raises OSError where there is none."""

    unit: str | None
    read: Callable[[HostSettings], float]


def load(_settings: HostSettings) -> float:
    """The mean number of processes that ran or waited in the last minute."""
    return round(os.getloadavg()[0], 2)


def memory_used(settings: HostSettings) -> float:
    """Percent of the memory that is not available to new programs."""
    figures = {}
    for line in _text(settings.proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        figures[name] = rest.split()[:1]
    try:
        total, available = (int(figures[name][0]) for name in ("MemTotal", "MemAvailable"))
        return round(100 * (1 - available / total), 1)
    except (KeyError, IndexError, ValueError, ArithmeticError) as error:
        raise OSError(f"{settings.proc / 'meminfo'}: no MemTotal and MemAvailable") from error


def disk_used(settings: HostSettings) -> float:
    """Percent of the disk's space that is used."""
    usage = shutil.disk_usage(settings.disk)
    if not usage.total:
        raise OSError(f"{settings.disk}: a file system without a size")
    return round(100 * usage.used / usage.total, 1)


def cpu_temperature(settings: HostSettings) -> float:
    """The warmest of the processor's thermal zones, in degrees Celsius."""
    zones = [_zone(path) for path in sorted(settings.thermal.glob("thermal_zone*"))]
    temperatures = [
        zone[1] for zone in zones if zone is not None and any(part in zone[0] for part in _CPU_ZONES)
    ]
    if not temperatures:
        raise FileNotFoundError(f"{settings.thermal}: no thermal zone of a processor")
    return round(max(temperatures), 1)


def _zone(path: Path) -> tuple[str, float] | None:
    """A thermal zone's kind and its temperature; None while it gives no believable one."""
    try:
        kind = _text(path / "type").strip().lower()
        temperature = int(_text(path / "temp")) / 1000
    except (OSError, ValueError, ArithmeticError):
        return None
    low, high = _BELIEVABLE
    return (kind, temperature) if low < temperature < high else None


def _text(path: Path) -> str:
    """What a small file of the kernel's says; a byte that is no text is shown as such."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_MOST)


_SOURCES = {
    "load": _Source(unit=None, read=load),
    "memory-used": _Source(unit="/100", read=memory_used),
    "disk-used": _Source(unit="/100", read=disk_used),
    "cpu-temperature": _Source(unit="Cel", read=cpu_temperature),
}


class HostDriver(Unopened):
    """Reads this machine; answers the command `facts`.

    Args:
        profile: The kind of device; its channels are among load, memory-used, disk-used, cpu-temperature.
        settings: See `HostSettings`.

    Raises:
        ConfigError: A setting is wrong, or the profile has something that this driver does not serve.
    """

    def __init__(self, *, profile: Profile, settings: Mapping[str, object]) -> None:
        self._profile = profile
        self._settings = check_settings(HostSettings, settings, "host")
        self._missing: set[str] = set()
        # What the machine must have: what its owner names, and what was there before.
        self._wanted = {"disk-used"} & profile.readings.keys() if self._names_disk else set[str]()
        self._was_mounted = False
        self._twin = (
            SimulatedDriver(profile=profile, settings={"seed": self._settings.seed})
            if self._settings.simulated
            else None
        )
        for channel, kind in profile.reading_kinds().items():
            if channel not in _SOURCES:
                raise ConfigError(f"driver host: no reading {channel!r}; there is {', '.join(_SOURCES)}")
            if kind.unit != _SOURCES[channel].unit or kind.type != "float":
                raise ConfigError(
                    f"driver host: {channel} is a float in {_SOURCES[channel].unit or 'no unit'}"
                )
        for command in profile.commands:
            if command != "facts":
                raise ConfigError(f"driver host: no command {command!r}; there is facts")

    async def read(self) -> Mapping[str, Value | OSError]:
        """The values of this moment; a channel that this machine never had is left out.

        One that was there before has its error instead, and so has a disk that the settings name.
        """
        if self._twin is not None:
            return await self._twin.read()
        return await off_loop(self._read)

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Answers `facts`: what this machine is.

        Raises:
            UnknownCommandError: It is another command.
            ArgumentsError: There are arguments.
        """
        self._profile.check_arguments(name, arguments)
        if name != "facts":
            raise UnknownCommandError(f"command {name!r}: driver host has facts")
        return await off_loop(_facts)

    @property
    def _names_disk(self) -> bool:
        return "disk" in self._settings.model_fields_set

    def _read(self) -> dict[str, Value | OSError]:
        values: dict[str, Value | OSError] = {}
        for channel in self._profile.readings:
            try:
                if channel == "disk-used":
                    self._check_mount()
                values[channel] = _SOURCES[channel].read(self._settings)
                self._wanted.add(channel)
            except OSError as error:
                if channel in self._wanted:
                    values[channel] = OSError(error.errno or errno.EIO, self._advice(channel, error))
                elif channel not in self._missing:
                    self._missing.add(channel)
                    _LOG.info("This machine has no %s: %s", channel, error)
        return values

    def _check_mount(self) -> None:
        """Refuses a folder whose disk is gone or was never there: what is left there is another disk's."""
        missing = not_mounted(self._settings.disk) if self._names_disk else None
        if missing is not None:
            raise OSError(errno.ENODEV, f"no disk is mounted at {missing}", str(self._settings.disk))
        is_mounted = self._settings.disk.is_mount()
        if self._was_mounted and not is_mounted:
            raise OSError(errno.ENODEV, "no disk is mounted there any more", str(self._settings.disk))
        self._was_mounted = is_mounted

    def _advice(self, channel: str, error: OSError) -> str:
        said = error.strerror or str(error)
        if channel == "disk-used":
            return f"{self._settings.disk}: {said}; is it plugged in and mounted? `disk` in [driver] names it"
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{said}; it was there before, so look what became of it"


def _facts() -> JsonValue:
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
    }
