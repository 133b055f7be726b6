"""Profiles: what a kind of device reads and does, as TOML that anyone can write.

A profile describes a kind. The address, the pins and the room of one device are that device's own settings.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from iotxmpp.about import Channel, CommandAbout
from iotxmpp.errors import ArgumentsError, ConfigError, UnknownCommandError
from iotxmpp.kinds import Argument, CommandKind, Effect, Part, ReadingKind, Simulate, typed
from iotxmpp.readings import Value

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,62}")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_SHOWN_FAULTS = 5


def _slug(text: str) -> str:
    # Not by pydantic's `pattern`: that brings another engine for regular expressions, 0.3 MB of an agent.
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r}: use a-z, 0-9 and -, starting with a letter or a digit, at most 63")
    return text


class DriverChoice(BaseModel):
    """Which driver speaks to such a device; its other keys are the driver's own settings."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str = Field(min_length=1)

    @property
    def settings(self) -> dict[str, object]:
        """The driver's own settings."""
        return dict(self.model_extra or {})


class Profile(Part):
    """A kind of device.

    Attributes:
        form: The version of this form; `schema` in the file.
        id: The kind's name, a slug.
        version: Its version, as semantic versioning has it.
        title: A few words for people.
        description: What it is, and what is honestly there.
        driver: Which driver speaks to it.
        readings: What it reads.
        commands: What it does.
    """

    form: Literal[1] = Field(alias="schema")
    id: Annotated[str, AfterValidator(_slug)]
    version: str
    title: str = ""
    description: str = ""
    driver: DriverChoice
    readings: dict[str, ReadingKind] = Field(default_factory=dict)
    commands: dict[str, CommandKind] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if not _VERSION.fullmatch(self.version):
            raise ValueError(f"version {self.version!r}: use three numbers, such as 1.0.0")
        for name in (*self.readings, *self.commands):
            if not _NAME.fullmatch(name):
                raise ValueError(f"name {name!r}: use A-Z, a-z, 0-9 and - : . _, at most 63")
        for name, command in self.commands.items():
            if command.simulate is not None:
                self._check_effect(f"commands.{name}.simulate", command, command.simulate)
        return self

    def _check_effect(self, where: str, command: CommandKind, effect: Effect) -> None:
        target = effect.set.partition("/")[0]
        if target not in self.readings:
            raise ValueError(f"{where}.set: no reading {target!r}; there is {_list(self.readings)}")
        kind = self.readings[target].type
        if effect.to is None and typed(effect.value, kind) is None:
            raise ValueError(f"{where}.value: {effect.value!r} is no {kind}, which {target} is")
        if effect.to is not None and command.args[effect.to].type != kind:
            raise ValueError(f"{where}.to: {effect.to} is no {kind}, which {target} is")

    def reading_kinds(self) -> dict[str, ReadingKind]:
        """What is read by each channel's name, `count` counted out."""
        return {
            channel: kind
            for name, kind in self.readings.items()
            for channel in ([name] if kind.count is None else (f"{name}/{n + 1}" for n in range(kind.count)))
        }

    def channels(self) -> dict[str, Channel]:
        """The channels by name, as a device's self-description has them."""
        return {
            name: Channel(type=kind.type, unit=kind.unit, range=kind.range, description=kind.description)
            for name, kind in self.reading_kinds().items()
        }

    def command_about(self) -> dict[str, CommandAbout]:
        """The commands by name, as a device's self-description has them."""
        return {
            name: CommandAbout(
                description=command.description,
                arguments={
                    "type": "object",
                    "properties": {key: argument.schema_of() for key, argument in command.args.items()},
                    "required": [key for key, argument in command.args.items() if argument.required],
                    "additionalProperties": False,
                },
                title=command.title,
                role=command.role,
                once="idempotent" if command.idempotent else "journal",
                steps=command.steps,
            )
            for name, command in self.commands.items()
        }

    def check_arguments(self, command: str, arguments: Mapping[str, object]) -> dict[str, Value]:
        """A command's arguments in their types, with the defaults of those that were left out.

        Raises:
            UnknownCommandError: There is no such command.
            ArgumentsError: An argument is missing, unknown, or has a value that does not fit.
        """
        if command not in self.commands:
            raise UnknownCommandError(f"command {command!r}: {self.id} has {_list(self.commands)}")
        expected = self.commands[command].args
        for name in arguments:
            if name not in expected:
                raise ArgumentsError(f"{command}: unknown argument {name!r}{_guess(name, expected)}")
        checked: dict[str, Value] = {}
        for name, argument in expected.items():
            if arguments.get(name) is not None:
                checked[name] = argument.checked(arguments[name], f"{command}: {name}")
            elif argument.default is not None:
                checked[name] = argument.checked(argument.default, f"{command}: {name}")
            elif argument.required:
                raise ArgumentsError(f"{command}: argument {name!r} is missing")
        return checked


def parse_profile(text: str, where: str) -> Profile:
    """The profile that a TOML text gives.

    Args:
        text: The TOML.
        where: The file's name, for errors.

    Raises:
        ConfigError: It is no TOML, or breaks the form; one line that names the file, the key and the fix.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: no TOML: {error}") from error
    try:
        return Profile.model_validate(table)
    except ValidationError as error:
        faults = [_fault(fault["type"], fault["loc"], fault["msg"]) for fault in error.errors()]
        more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise ConfigError(f"{where}: {'; '.join(faults[:_SHOWN_FAULTS])}{more}") from error


def _fault(kind: str, path: tuple[int | str, ...], text: str) -> str:
    *parents, key = path or ("",)
    place = ".".join(map(str, path))
    if kind == "extra_forbidden":
        inside = f" in {'.'.join(map(str, parents))}" if parents else ""
        return f"unknown key {key}{inside}{_guess(str(key), _keys(path))}"
    if kind == "missing":
        return f"{place}: missing"
    return f"{place + ': ' if place else ''}{text.removeprefix('Value error, ')}"


def _keys(path: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at that place may have."""
    models: dict[tuple[str, int], type[BaseModel]] = {
        ("readings", 3): ReadingKind,
        ("readings", 4): Simulate,
        ("commands", 3): CommandKind,
        ("commands", 4): Effect,
        ("commands", 5): Argument,
    }
    model = models.get((str(path[0]), len(path)), Profile)
    return [field.alias or name for name, field in model.model_fields.items()]


def _guess(name: str, known: Mapping[str, object] | list[str]) -> str:
    import difflib  # noqa: PLC0415  # only whoever made a mistake pays for it

    close = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]}?" if close else f"; known: {_list(known)}"


def _list(names: Mapping[str, object] | list[str]) -> str:
    return ", ".join(names) or "none"
