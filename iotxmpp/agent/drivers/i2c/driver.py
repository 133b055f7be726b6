"""The i2c driver: one chip on a bus, for the channels of a profile."""

import asyncio
import contextlib
import errno
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from iotxmpp.agent.drivers import check_settings, check_source, off_loop
from iotxmpp.agent.drivers.i2c import bme280_chip, scd4x
from iotxmpp.agent.drivers.i2c.bus import Bus, KernelBus, advised
from iotxmpp.agent.drivers.i2c.fakes import FakeBme280, FakeScd4x, SimulatedBus
from iotxmpp.agent.drivers.moment import Moment
from iotxmpp.errors import CommandFailedError, ConfigError
from iotxmpp.kinds import ReadingKind
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

_UNITS: dict[str, dict[str, float]] = {
    "temperature": {"Cel": 1.0},
    "humidity": {"%RH": 1.0},
    "pressure": {"hPa": 0.01, "Pa": 1.0},
    "co2": {"ppm": 1.0},
}
_ADDRESSES = {"bme280": 0x76, "scd4x": 0x62}
_ADVICE = {"bme280": bme280_chip.ADVICE, "scd4x": scd4x.ADVICE}
_DIGITS = 2
_STUCK = (
    "{bus}: an earlier attempt to open it still hangs; a chip may hold the bus: take its power off and on"
)

_hanging: set[str] = set()
"""Buses on which an opening was given up that still hangs: each more would cost one more thread for good."""

Result = TypeVar("Result")


class I2cSettings(BaseModel):
    """Settings of the i2c driver.

    Attributes:
        chip: Which chip it is.
        bus: The number of the bus, as in `/dev/i2c-1`.
        address: The chip's address; for a BME280 0x76 and for an SCD4x 0x62 unless given.
        oversampling: How many samples a BME280 takes for one value.
        simulated: Whether bus and chip are made up.
        seed: Simulated devices with different seeds differ; the profile's id unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    chip: Literal["bme280", "scd4x"]
    bus: int = Field(default=1, ge=0, le=255)
    address: int | None = Field(default=None, ge=0x08, le=0x77)
    oversampling: Literal[1, 2, 4, 8, 16] = 1
    simulated: bool = False
    seed: str = ""


class I2cSource(BaseModel):
    """Which of the chip's values a channel is.

    Attributes:
        value: The chip's own name for it, such as `temperature`; the channel's name unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str | None = None


class Chip(Protocol):
    """A chip; every method blocks and raises OSError."""

    def start(self) -> None:
        """Looks whether it is there, and makes it ready."""
        ...

    def read(self) -> Mapping[str, float | OSError]:
        """Its values by its own names."""
        ...

    def reset(self) -> None:
        """Starts it anew."""
        ...

    def stop(self) -> None:
        """Ends what it does by itself."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bound:
    """A channel with the chip's value that it is."""

    kind: ReadingKind
    value: str
    factor: float

    def shown(self, number: float) -> Value:
        return (
            round(number * self.factor) if self.kind.type == "int" else round(number * self.factor, _DIGITS)
        )


class I2cDriver:
    """Reads one sensor on an I2C bus.

    Args:
        profile: The kind of device; its channels have the chip's own names, or say theirs in `source.value`.
        settings: See `I2cSettings`.
        clock: Gives the seconds since 1970, for a simulated chip.

    Raises:
        ConfigError: A setting or a source is wrong, or the chip does not measure a channel.
    """

    def __init__(
        self, *, profile: Profile, settings: Mapping[str, object], clock: Callable[[], float] = time.time
    ) -> None:
        self._profile = profile
        self._settings = check_settings(I2cSettings, settings, "i2c")
        self._address = self._settings.address or _ADDRESSES[self._settings.chip]
        self._bound = _bound(profile, self._settings.chip)
        for name in profile.commands:
            if name != "reset":
                raise ConfigError(f"driver i2c: no command {name!r}; there is reset")
        self._clock = clock
        self._using = threading.Lock()
        self._bus: Bus | None = None
        self._chip: Chip | None = None
        self._is_given_up = False

    async def __aenter__(self) -> Self:
        """Opens the bus and looks for the chip.

        Raises:
            ConfigError: smbus2 is not installed.
            OSError: There is no bus, or the chip is not there or another one; or an opening that was given
                up still hangs.
        """
        if self._name() in _hanging:
            raise OSError(errno.EBUSY, _STUCK.format(bus=self._name()))
        self._is_given_up = False
        try:
            await off_loop(self._open)
        except asyncio.CancelledError:
            # The thread goes on; what it opens is closed when it is done.
            self._is_given_up = True
            if not self._settings.simulated:  # each of those has a bus of its own
                _hanging.add(self._name())
            threading.Thread(target=self._close_late, name="i2c bus", daemon=True).start()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the chip, where it still answers, and closes the bus."""
        await off_loop(self._close)

    async def read(self) -> Mapping[str, Value | OSError]:
        """What the chip measures; nothing while it warms up.

        Raises:
            OSError: It does not answer, or its answers are damaged.
        """
        values = await off_loop(lambda: self._used(lambda chip: chip.read()))
        return {
            channel: found if isinstance(found, OSError) else bound.shown(found)
            for channel, bound in self._bound.items()
            if (found := values.get(bound.value)) is not None
        }

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Starts the chip anew, for `reset`.

        Returns:
            `{"reset": true}`.

        Raises:
            UnknownCommandError: The profile has no such command.
            ArgumentsError: The arguments do not fit it.
            CommandFailedError: The chip did not come back.
        """
        self._profile.check_arguments(name, arguments)
        try:
            await off_loop(lambda: self._used(lambda chip: chip.reset()))
        except OSError as error:
            raise CommandFailedError(f"{name}: {error.strerror or error}") from error
        return {"reset": True}

    def _used(self, work: Callable[[Chip], Result]) -> Result:
        with self._using:
            if self._chip is None:
                raise OSError(errno.ENODEV, "driver i2c: not open")
            return self._advised(work, self._chip)

    def _advised(self, work: Callable[[Chip], Result], chip: Chip) -> Result:
        try:
            return work(chip)
        except OSError as error:
            advice = _ADVICE[self._settings.chip].format(bus=self._settings.bus)
            raise advised(error, bus=self._name(), address=self._address, advice=advice) from error

    def _open(self) -> None:
        with self._using:
            if self._is_given_up:
                return
            bus = self._simulated_bus() if self._settings.simulated else KernelBus(self._settings.bus)
            try:
                chip = self._chip_on(bus)
                self._advised(lambda chip: chip.start(), chip)
            except BaseException:
                bus.close()
                raise
            self._bus, self._chip = bus, chip

    def _close(self) -> None:
        with self._using:
            bus, self._bus = self._bus, None
            chip, self._chip = self._chip, None
            if bus is None or chip is None:
                return
            try:
                # A chip that is gone cannot be stopped.
                with contextlib.suppress(OSError):
                    chip.stop()
            finally:
                bus.close()

    def _close_late(self) -> None:
        """Waits for the end of an opening that was given up, and closes what it has opened."""
        try:
            self._close()
        finally:
            _hanging.discard(self._name())

    def _chip_on(self, bus: Bus) -> Chip:
        if self._settings.chip == "bme280":
            return bme280_chip.Bme280(bus, self._address, oversampling=self._settings.oversampling)
        return scd4x.Scd4x(bus, self._address)

    def _simulated_bus(self) -> SimulatedBus:
        if self._settings.chip == "bme280":
            return SimulatedBus({self._address: FakeBme280(self._air)})
        return SimulatedBus({self._address: FakeScd4x(self._air, clock=time.monotonic)})

    def _air(self) -> dict[str, float]:
        """What a simulated chip measures now, in its own units."""
        kinds = {channel: bound.kind for channel, bound in self._bound.items()}
        moment = Moment(kinds, seed=self._settings.seed or self._profile.id, now=self._clock())
        return {
            bound.value: float(moment.value(channel)) / bound.factor for channel, bound in self._bound.items()
        }

    def _name(self) -> str:
        return "simulated bus" if self._settings.simulated else f"/dev/i2c-{self._settings.bus}"


def _bound(profile: Profile, chip: str) -> dict[str, _Bound]:
    """Each channel with the value of the chip that it is."""
    known = (bme280_chip.Bme280 if chip == "bme280" else scd4x.Scd4x).values
    bound, kinds = {}, profile.reading_kinds()
    for channel, source in profile.sources().items():
        where = f"readings.{channel.partition('/')[0]}"
        value = check_source(I2cSource, source, f"{where}.source").value or channel
        if value not in known:
            raise ConfigError(
                f"driver i2c: {where}: {chip} has no value {value!r}; it has {', '.join(sorted(known))}; name"
                f' one in {where}.source, as value = "…"'
            )
        kind = kinds[channel]
        factors = _UNITS[value]
        if kind.type not in {"float", "int"} or kind.unit not in {*factors, None}:
            raise ConfigError(f"driver i2c: {where}: {value} is a float in {' or '.join(factors)}")
        factor = factors[kind.unit] if kind.unit is not None else next(iter(factors.values()))
        bound[channel] = _Bound(kind=kind, value=value, factor=factor)
    return bound
