"""Settings: what a controller may change on a running device, each with the function that applies it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any

from pydantic import Field

from iotxmpp.about import SettingAbout
from iotxmpp.agent.sensors import Sensor
from iotxmpp.arguments import CommandSpec
from iotxmpp.errors import InvalidError
from iotxmpp.twin import check_name

LEAST_EVERY = 0.1
"""Seconds between samples at least, where the twin sets them."""

MOST_EVERY = 86400.0
"""Seconds between samples at most."""

INTERVAL = "every/"
"""The names of sensors' intervals start so; the sensor's label follows."""

Change = Callable[[Sensor, float | None], None]
"""Sets seconds between samples of a sensor; None for what was declared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A setting of a device.

    Attributes:
        name: Its name.
        spec: The rules of its one argument.
        argument: How the function's argument is called.
        function: Applies a value; plain or a coroutine function. Called with nothing, it applies the default.
        default: The value that holds where nothing is desired, as JSON has it; None where nobody says.
        description: For people.
    """

    name: str
    spec: CommandSpec
    argument: str
    function: Callable[..., object]
    default: Any
    description: str

    def arguments(self, value: object) -> dict[str, Any]:
        """The arguments to call the function with, for a value as JSON has it.

        Raises:
            ArgumentsError: The value does not fit.
        """
        return self.spec.parse({self.argument: value})

    def about(self) -> SettingAbout:
        """How the device describes it."""
        schema = self.spec.about().arguments
        own: dict[str, Any] = dict(schema.get("properties", {}).get(self.argument, {}))
        if "$defs" in schema:
            own["$defs"] = schema["$defs"]
        return SettingAbout(description=self.description, value=own)


def make_setting(function: Callable[..., object], name: str) -> Setting:
    """The setting that a function of one annotated argument applies.

    Raises:
        InvalidError: The name is none, or the function has not one argument that JSON can fill.
    """
    check_name(name, "setting")
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1:
        raise InvalidError(
            f"setting {name}: its function takes {len(parameters)} arguments; give it one,"
            " such as percent: int = 50"
        )
    spec = CommandSpec.from_function(function, name=name)
    about = spec.about()
    argument = parameters[0].name
    return Setting(
        name=name,
        spec=spec,
        argument=argument,
        function=function,
        default=about.arguments.get("properties", {}).get(argument, {}).get("default"),
        description=about.description,
    )


def add_setting(settings: dict[str, Setting], setting: Setting) -> None:
    """Adds a setting to those that were declared.

    Raises:
        InvalidError: The name is taken, or is kept for intervals.
    """
    if setting.name in settings:
        raise InvalidError(f"setting {setting.name}: declared twice")
    if setting.name.startswith(INTERVAL):
        raise InvalidError(f"setting {setting.name}: names with {INTERVAL} are the intervals of sensors")
    settings[setting.name] = setting


def interval_settings(sensors: Iterable[Sensor], change: Change) -> dict[str, Setting]:
    """A setting for each sensor's interval, by name.

    A sensor whose label is no name, or another sensor's, goes by its first channel.

    Args:
        sensors: The sensors.
        change: Changes an interval.
    """
    found: dict[str, Setting] = {}
    for sensor in sensors:
        name = next((each for each in _names(sensor) if _is_free(each, found)), None)
        if name is not None:
            found[name] = _interval(name, sensor, change)
    return found


def setting_abouts(settings: Mapping[str, Setting], sensors: Iterable[Sensor]) -> dict[str, SettingAbout]:
    """The descriptions of all settings of a device, its sensors' intervals among them."""
    every = interval_settings(sensors, lambda _sensor, _seconds: None)
    return {name: setting.about() for name, setting in {**settings, **every}.items()}


def _names(sensor: Sensor) -> tuple[str, str]:
    return f"{INTERVAL}{sensor.label}", f"{INTERVAL}{next(iter(sensor.channels))}"


def _is_free(name: str, taken: Mapping[str, Setting]) -> bool:
    try:
        check_name(name, "setting")
    except InvalidError:
        return False
    return name not in taken


def _interval(name: str, sensor: Sensor, change: Change) -> Setting:
    declared = min(rhythm.every for rhythm in sensor.rhythms.values())
    return Setting(
        name=name,
        spec=_every_spec(name),
        argument="seconds",
        function=partial(_set_every, sensor, change),
        default=declared,
        description=f"Seconds between samples of {', '.join(sensor.channels)}.",
    )


def _every_spec(name: str) -> CommandSpec:
    spec = copy(_every_rules())
    spec.name = name
    return spec


@cache
def _every_rules() -> CommandSpec:
    """The rules of every interval, made once: a model of pydantic's takes time and memory."""
    return CommandSpec.from_function(_every, name="every")


def _every(seconds: Annotated[float, Field(ge=LEAST_EVERY, le=MOST_EVERY)]) -> None:
    """Says the rules of an interval; `_set_every` applies it."""


async def _set_every(sensor: Sensor, change: Change, /, seconds: float | None = None) -> None:
    change(sensor, seconds)
