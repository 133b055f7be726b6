"""Profiles: what a kind of device reads and does, as TOML that anyone can write.

A profile describes a kind. The address, the pins and the room of one device are that device's own settings.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from iotxmpp.about import Channel, CommandAbout
from iotxmpp.errors import ArgumentsError, UnknownCommandError
from iotxmpp.extending import Written, laid_over, line_of, no_parent
from iotxmpp.faulttexts import guess
from iotxmpp.kinds import (
    MOST_CHANNELS,
    CommandKind,
    Effect,
    Part,
    ReadingKind,
    typed,
)
from iotxmpp.kindtexts import Text, check_free
from iotxmpp.readings import Value
from iotxmpp.relations import check_relations
from iotxmpp.tables import TableError, parse_table, table_error

MOST_COMMANDS, MOST_ARGUMENTS = 100, 250
"""Commands that a profile may have, and arguments of all of them together."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,62}")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_SHOWN = 64


def _slug(text: str) -> str:
    # Not by pydantic's `pattern`: that brings another engine for regular expressions, 0.3 MB of an agent.
    if not _ID.fullmatch(text):
        raise ValueError(
            f"{text[:_SHOWN]!r}: use a-z, 0-9 and -, starting with a letter or a digit, at most 63"
        )
    return text


def _no_truth(form: object) -> object:
    if isinstance(form, bool):
        raise ValueError("write schema = 1")  # noqa: TRY004  # pydantic takes a ValueError; for Python, true is 1
    return form


class DriverChoice(BaseModel):
    """Which driver speaks to such a device; its other keys are the driver's own settings.

    Attributes:
        kind: The driver's name, such as `gpio`, `serial` or `simulated`.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, JsonValue]

    kind: Annotated[Text, Field(min_length=1)]

    @model_validator(mode="after")
    def _settings_are_plain(self) -> Self:
        check_free(self.__pydantic_extra__)
        return self

    @property
    def settings(self) -> dict[str, object]:
        """The driver's own settings."""
        return dict(self.__pydantic_extra__)


class Profile(Part):
    """A kind of device.

    Attributes:
        form: The version of this form; `schema` in the file.
        id: The kind's name, a slug.
        version: Its version, as semantic versioning has it.
        extends: What it stands on: a shipped profile's name, or a `.toml` file beside it. Its tables are laid
            over the parent's.
        without: The parent's readings and commands that it does not have.
        title: A few words for people.
        description: What it is, and what is honestly there.
        driver: Which driver speaks to it.
        readings: What it reads.
        commands: What it does.
    """

    form: Annotated[Literal[1], BeforeValidator(_no_truth)] = Field(alias="schema")
    id: Annotated[str, AfterValidator(_slug)]
    version: str
    extends: str | None = None
    without: Annotated[tuple[str, ...], Field(strict=False)] = ()
    title: Text = ""
    description: Text = ""
    driver: DriverChoice
    readings: dict[str, ReadingKind] = Field(default_factory=dict)
    commands: dict[str, CommandKind] = Field(default_factory=dict)
    _folders: Mapping[str, Path] = PrivateAttr(default_factory=dict)

    @property
    def folders(self) -> Mapping[str, Path]:
        """Where relative paths in the driver's settings start, by setting: the folder of its file."""
        return self._folders

    @model_validator(mode="after")
    def _stands_in_folders(self, info: ValidationInfo) -> Self:
        self._folders = {
            key: folder for key, folder in (info.context or {}).items() if key in self.driver.settings
        }
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if not _VERSION.fullmatch(self.version):
            raise ValueError(f"version {self.version[:_SHOWN]!r}: use three numbers, such as 1.0.0")
        tables: dict[str, Mapping[str, object]] = {"readings": self.readings, "commands": self.commands}
        tables |= {f"commands.{name[:_SHOWN]}.args": each.args for name, each in self.commands.items()}
        for table, name in [(table, name) for table, names in tables.items() for name in names]:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{table}: name {name[:_SHOWN]!r}: use A-Z, a-z, 0-9 and - : . _, at most 63"
                )
        if sum(kind.count or 1 for kind in self.readings.values()) > MOST_CHANNELS:
            raise ValueError(f"readings: more than {MOST_CHANNELS} channels, counted out")
        if len(self.commands) > MOST_COMMANDS:
            raise ValueError(f"commands: more than {MOST_COMMANDS}")
        if sum(len(command.args) for command in self.commands.values()) > MOST_ARGUMENTS:
            raise ValueError(f"commands: more than {MOST_ARGUMENTS} arguments, of all commands together")
        check_relations(self.readings)
        channels = {name: dict.fromkeys(each) for name, each in self.channels_of().items()}
        for name, command in self.commands.items():
            for key, effect in command.effects():
                self._check_effect(f"commands.{name}.{key}", command, effect, channels)
        return self

    def _check_effect(
        self, where: str, command: CommandKind, effect: Effect, channels: Mapping[str, Mapping[str, object]]
    ) -> None:
        target = effect.reading
        if target not in self.readings:
            raise ValueError(f"{where}.set: no reading {target!r}; there is {_list(self.readings)}")
        reading = self.readings[target]
        _check_channel(where, command, effect, channels[target])
        if effect.to is None:
            _check_value(where, effect, target, reading)
        elif command.args[effect.to].type != reading.type:
            raise ValueError(f"{where}.to: {effect.to} is no {reading.type}, which {target} is")

    def channels_of(self) -> dict[str, list[str]]:
        """The channels' names by reading, `count` counted out: NAME, or NAME/1 and so on."""
        return {
            name: [name] if kind.count is None else [f"{name}/{n + 1}" for n in range(kind.count)]
            for name, kind in self.readings.items()
        }

    def channels_meant(self) -> dict[str, list[str]]:
        """The channels by each name that may mean them: a channel itself, and a reading all that it has."""
        of = self.channels_of()
        return {channel: [channel] for channels in of.values() for channel in channels} | of

    def reading_kinds(self) -> dict[str, ReadingKind]:
        """What is read by each channel's name, `count` counted out."""
        return {
            channel: self.readings[name]
            for name, channels in self.channels_of().items()
            for channel in channels
        }

    def sources(self) -> dict[str, dict[str, JsonValue]]:
        """Where the driver finds each channel, by its name, `count` counted out."""
        return {
            channel: self.readings[name].source_of(number)
            for name, channels in self.channels_of().items()
            for number, channel in enumerate(channels, start=1)
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
                raise ArgumentsError(f"{command}: unknown argument {name!r}{guess(name, expected)}")
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
    """The profile that a TOML text gives; one that extends another must stand in a file.

    Args:
        text: The TOML.
        where: The file's name, for errors.

    Raises:
        ConfigError: It is no TOML, or breaks the form; one line that names the file, the key and the fix.
    """
    return profile_of(parse_table(text, where), where)


def profile_of(table: Mapping[str, Any], where: str) -> Profile:
    """The profile that a table gives.

    Args:
        table: The table, as from TOML or JSON.
        where: Where it stands, for errors.

    Raises:
        ConfigError: It breaks the form, or extends another.
    """
    return whole_profile(Written(table=table, where=where, key=where, parent=no_parent(where)))


def whole_profile(written: Written) -> Profile:
    """A profile, with those that it extends; each of these is checked by itself.

    Raises:
        ConfigError: One of them is missing or wrong; the text names its file, the key and the fix.
    """
    first, *more = line_of(written)
    table = dict(first.table)
    folders = _folders(first)
    profile = _checked(table, first.where, folders)
    for child in more:
        table = laid_over(table, child)
        folders |= _folders(child)
        profile = _checked(table, child.where, folders)
    return profile


def _folders(written: Written) -> dict[str, Path]:
    """Where relative paths in its own settings of the driver start."""
    driver = written.table.get("driver")
    if written.folder is None or not isinstance(driver, Mapping):
        return {}
    return dict.fromkeys(driver, written.folder)


def _checked(table: Mapping[str, Any], where: str, folders: Mapping[str, Path]) -> Profile:
    try:
        profile = Profile.model_validate(dict(table), context=folders)
    except ValidationError as error:
        raise table_error(error, Profile, where) from error
    except RecursionError as error:
        raise TableError(where, ["nested too deep; write it flatter"]) from error
    if profile.without and profile.extends is None:
        raise TableError(where, ["without: only with extends; remove it"])
    return profile


def _check_channel(where: str, command: CommandKind, effect: Effect, channels: Mapping[str, object]) -> None:
    """Refuses an effect on a channel that no call can name."""
    slots, (first, *_) = effect.slots(), channels
    is_counted = first.endswith("/1")
    if is_counted and slots and effect.set == f"{first[:-1]}{{{slots[0]}}}":
        if not command.args[slots[0]].can_count(len(channels)):
            raise ValueError(f"{where}.set: {slots[0]} is never one of {_list(channels)}")
    elif effect.set not in channels and not (is_counted and slots):
        raise ValueError(f"{where}.set: no channel {effect.set!r}; there is {_list(channels)}")


def _check_value(where: str, effect: Effect, target: str, reading: ReadingKind) -> None:
    value = typed(effect.value, reading.type)
    if value is None:
        raise ValueError(f"{where}.value: {effect.value!r} is no {reading.type}, which {target} is")
    low, high = reading.range or (-math.inf, math.inf)
    if isinstance(value, int | float) and not low <= value <= high:
        raise ValueError(
            f"{where}.value: {value:g} is outside {target}'s range, {low:g} to {high:g}; give one within"
        )


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"
