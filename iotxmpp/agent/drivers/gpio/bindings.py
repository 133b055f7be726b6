"""Which channel hangs at which pin: settings and sources of the gpio driver, checked before a pin moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from iotxmpp.agent.drivers import check_source
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import Finite, ReadingKind, Seconds, reading_of
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

Output = Literal["OutputDevice", "LED", "PWMLED", "Buzzer", "Servo"]
Input = Literal["Button", "MotionSensor", "LineSensor", "DigitalInputDevice"]
Polled = Literal["DistanceSensor", "MCP3008", "LightSensor", "CPUTemperature"]
Device = Literal[Output, Input, Polled]
Pin = Annotated[int, Field(ge=0, le=53)]

OUTPUTS = frozenset(get_args(Output))
INPUTS = frozenset(get_args(Input))
POLLED = frozenset(get_args(Polled))
PWM = frozenset({"PWMLED", "Servo"})
COUNTING = frozenset({"Button", "DigitalInputDevice"})

_NEEDED: dict[str, frozenset[str]] = {
    "DistanceSensor": frozenset({"echo", "trigger"}),
    "MCP3008": frozenset({"channel"}),
    "CPUTemperature": frozenset(),
}
_SCALED = frozenset({"scale", "offset"})
_POSSIBLE: dict[str, frozenset[str]] = {
    "OutputDevice": frozenset({"active_high", "initial"}),
    "LED": frozenset({"active_high", "initial"}),
    "Buzzer": frozenset({"active_high", "initial"}),
    "PWMLED": frozenset({"active_high", "initial"}) | _SCALED,
    "Servo": frozenset({"initial"}) | _SCALED,
    "Button": frozenset({"active_high", "pull_up", "bounce", "hold"}),
    "DigitalInputDevice": frozenset({"active_high", "pull_up", "bounce"}),
    "MotionSensor": frozenset({"active_high", "pull_up"}),
    "LineSensor": frozenset({"active_high", "pull_up"}),
    "DistanceSensor": frozenset({"max_distance"}) | _SCALED,
    "MCP3008": _SCALED,
    "LightSensor": _SCALED,
    "CPUTemperature": _SCALED,
}
_SPI = {"clock": 11, "data out": 10, "data in": 9, "select": 8}


class GpioSettings(BaseModel):
    """Settings of the gpio driver.

    Attributes:
        simulated: Whether pins are gpiozero's mock pins, moved as the profile simulates its channels.
        seed: Simulated devices with different seeds differ; the profile's id unless given.
        device: The kind of every channel whose source says none.
        pins: The pins, before those of the profile: a list for all channels that have one, in their order;
            or by channel or reading a pin, a list of pins, or a table of a source's keys.
        active_high: Whether high means true, for every channel whose source does not say it.
        close: Whether outputs go off when the driver is closed, or keep their state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    simulated: bool = False
    seed: str = ""
    device: Device | None = None
    pins: list[Pin] | dict[str, Pin | list[Pin] | dict[str, JsonValue]] = Field(default_factory=list)
    active_high: bool | None = None
    close: Literal["off", "keep"] = "off"


class GpioSource(BaseModel):
    """What a channel hangs at.

    Attributes:
        device: The class of gpiozero that serves it.
        pin: Its pin, by the processor's numbers (BCM).
        active_high: Whether high means true; as gpiozero has it for the device unless given.
        pull_up: Whether the pin is pulled up, or down, or `floating`; as gpiozero has it unless given.
        bounce: Seconds in which a switch may bounce.
        hold: Seconds that a button must be held before it counts.
        echo: The pin of a distance sensor's echo.
        trigger: The pin of a distance sensor's trigger.
        max_distance: The longest distance, in metres.
        channel: The input of an analogue-digital converter, 0 to 7.
        initial: What an output is at first; off unless given, and as it was with `close = "keep"`.
        scale: The value is what the device gives, multiplied by this, …
        offset: … and this added; a value that is set goes the other way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device
    pin: Pin | None = None
    active_high: bool | None = None
    pull_up: bool | Literal["floating"] | None = None
    bounce: Seconds | None = None
    hold: Seconds | None = None
    echo: Pin | None = None
    trigger: Pin | None = None
    max_distance: Seconds | None = None
    channel: Annotated[int, Field(ge=0, le=7)] | None = None
    initial: bool | Finite | None = None
    scale: Finite = 1.0
    offset: Finite = 0.0

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        needed = _NEEDED.get(self.device, frozenset({"pin"}))
        given = {name for name in self.model_fields_set if getattr(self, name) is not None} - {"device"}
        for key in sorted(needed - given):
            raise ValueError(f"a {self.device} needs {key}; give it here, or in the device's [driver] pins")
        for key in sorted(given - needed - _POSSIBLE[self.device]):
            known = ", ".join(sorted(needed | _POSSIBLE[self.device]))
            raise ValueError(f"a {self.device} has no {key}; it has {known}")
        if self.scale == 0:
            raise ValueError("scale 0 makes all values alike; use 1 to leave them as they are")
        if self.pull_up == "floating" and self.active_high is None:
            raise ValueError('pull_up = "floating" needs active_high')
        if self.hold is not None and self.active_high is not None and self.pull_up != "floating":
            raise ValueError("hold counts from the level that the pull says; remove active_high")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """One channel and what it hangs at.

    Attributes:
        channel: Its name in the profile.
        kind: What it reads.
        source: What it hangs at.
        where: The source's place in the profile.
    """

    channel: str
    kind: ReadingKind
    source: GpioSource
    where: str

    @property
    def pins(self) -> dict[str, int]:
        """Its own pins, by the source's keys."""
        keys = ("pin", "echo", "trigger")
        return {key: getattr(self.source, key) for key in keys if getattr(self.source, key) is not None}

    def shown(self, raw: float) -> Value:
        """The channel's value of what the device gives."""
        if self.kind.type == "bool":
            return raw > 0
        value = raw * self.source.scale + self.source.offset
        return round(value) if self.kind.type == "int" else round(value, 9)

    def raw(self, value: Value) -> float:
        """What the device is given for a value of the channel."""
        if isinstance(value, bool | str):
            return float(value is True)
        return (value - self.source.offset) / self.source.scale


def bindings(profile: Profile, settings: GpioSettings) -> tuple[Binding, ...]:
    """What each channel of the profile hangs at on this device.

    Raises:
        ConfigError: A source is wrong or missing, the type does not fit, or two channels are at one pin.
    """
    sources = _with_pins(profile, settings)
    bound = tuple(
        _binding(channel, kind, sources[channel]) for channel, kind in profile.reading_kinds().items()
    )
    _check_conflicts(bound)
    _check_commands(profile, bound)
    return bound


def _binding(channel: str, kind: ReadingKind, source: Mapping[str, Any]) -> Binding:
    where = f"readings.{reading_of(channel)}.source"
    checked = check_source(GpioSource, source, where)
    fitting = {"float", "int"}
    if checked.device in INPUTS:
        fitting = {"bool", "int"} if checked.device in COUNTING and checked.hold is None else {"bool"}
    elif checked.device == "PWMLED":
        fitting = {"bool", "float"}
    elif checked.device in OUTPUTS:
        fitting = {"float"} if checked.device == "Servo" else {"bool"}
    if kind.type not in fitting:
        raise ConfigError(
            f"readings.{reading_of(channel)}.type: a {checked.device} is"
            f" {' or '.join(sorted(fitting))}, not {kind.type}"
        )
    return Binding(channel=channel, kind=kind, source=checked, where=where)


def _with_pins(profile: Profile, settings: GpioSettings) -> dict[str, dict[str, Any]]:
    """The sources with the settings laid over them."""
    common = {"device": settings.device} if settings.device is not None else {}
    sources = {channel: {**common, **source} for channel, source in profile.sources().items()}
    for channel, more in _placed(profile, settings, sources).items():
        sources[channel] |= more
    for source in sources.values():
        possible = _POSSIBLE.get(str(source.get("device")), frozenset())
        if settings.active_high is not None and "active_high" in possible:
            source.setdefault("active_high", settings.active_high)
    return sources


def _placed(
    profile: Profile, settings: GpioSettings, sources: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """What the setting `pins` says of each channel."""
    if isinstance(settings.pins, list):
        pinned = [name for name, each in sources.items() if str(each.get("device")) not in _NEEDED]
        if settings.pins and len(settings.pins) != len(pinned):
            raise ConfigError(
                f"driver gpio: pins has {len(settings.pins)} entries, but {len(pinned)} channels have a pin:"
                f" {', '.join(pinned) or 'none'}"
            )
        return {name: {"pin": pin} for name, pin in zip(pinned, settings.pins, strict=False)}
    named = profile.channels_meant()
    placed: dict[str, Mapping[str, Any]] = {}
    for name, pins in settings.pins.items():
        channels = named.get(name, [])
        if not channels:
            raise ConfigError(
                f"driver gpio: pins.{name}: the profile has no such channel; it has {', '.join(sources)}"
            )
        several = pins if isinstance(pins, list) else [pins] if len(channels) == 1 else []
        if len(several) != len(channels):
            raise ConfigError(f"driver gpio: pins.{name}: give a list of {len(channels)} pins")
        for channel, each in zip(channels, several, strict=True):
            placed[channel] = each if isinstance(each, dict) else {"pin": each}
    return placed


def _check_conflicts(bound: tuple[Binding, ...]) -> None:
    taken: dict[int, str] = {}
    if any(each.source.device == "MCP3008" for each in bound):
        taken = {pin: f"the MCP3008's SPI {name}" for name, pin in _SPI.items()}
    for each in bound:
        for key, pin in each.pins.items():
            user = each.channel if key == "pin" else f"{each.channel}'s {key}"
            if pin in taken:
                raise ConfigError(
                    f"driver gpio: pin {pin} is used twice, for {taken[pin]} and {user}; give each its own"
                )
            taken[pin] = user


def _check_commands(profile: Profile, bound: tuple[Binding, ...]) -> None:
    inputs: dict[str, Binding] = {}
    for each in bound:
        if each.source.device not in OUTPUTS:
            inputs.setdefault(reading_of(each.channel), each)
    for name, command in profile.commands.items():
        if command.effect is None:
            raise ConfigError(f"commands.{name}: the gpio driver needs an effect, which sets an output")
        found = inputs.get(command.effect.reading)
        if found is not None:
            raise ConfigError(
                f"commands.{name}.effect.set: {found.channel} is a {found.source.device}, which cannot be"
                f" set; outputs are {', '.join(sorted(OUTPUTS))}"
            )
