"""Which channel and command of a profile is which of a board's, and what does not fit. No I/O."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from firmware_bridge.description import Description
from firmware_bridge.lines import NAMES, is_name
from firmware_bridge.messages import Command
from firmware_bridge.values import Kind
from iotxmpp.agent.drivers import check_source
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import reading_of
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

FIRMWARE_UPDATE = "firmware-update"
"""The command that the driver carries out itself."""

LinkCount = Literal["damaged", "gaps", "dropped", "restarts", "retries"]

_TYPES = {Kind.FLOAT: "float", Kind.INT: "int", Kind.BOOL: "bool", Kind.STR: "str"}
_FITTING = {
    ("float", "float"),
    ("int", "float"),
    ("int", "int"),
    ("float", "int"),
    ("bool", "bool"),
    ("str", "str"),
}
_SHOWN = 80
_HAPPENING = ("str", "bool", "int")
"""What an event is as a value, without a unit."""


def _check_name(name: str) -> str:
    """At neither level a board has another name."""
    if not is_name(name):
        raise ValueError(f"{name[:_SHOWN]!r}: {NAMES}; give the one that the firmware has")
    return name


Name = Annotated[str, AfterValidator(_check_name)]
"""A name that a board may have."""


class SerialSource(BaseModel):
    """Where a channel comes from.

    Attributes:
        name: The board's own name for it; the channel's unless given.
        link: Instead: what is counted at the link since it was opened: damaged frames and lines, reports
            that did not come (`gaps`), values that are no numbers or too many (`dropped`), `restarts` of the
            board, frames that were sent again (`retries`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = None
    link: LinkCount | None = None


class CommandSource(BaseModel):
    """Which of the board's commands a command is.

    Attributes:
        name: The board's own name for it; the command's unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = None


class Binding:
    """The names on both sides.

    Args:
        profile: The kind of device.

    Raises:
        ConfigError: A source is wrong, or two channels have one.

    Attributes:
        names: The board's name for each channel that it gives.
        counts: The channels that are counted at the link, and what each counts.
        faults: Why a channel cannot be given, by channel; known once the board is described.
        command_faults: Why a command cannot be carried out, by command.
        strangers: Channels of the board that the profile does not have.
        awaited: Channels that the board gives as events, if at all: it does not say which events it has.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._kinds = profile.reading_kinds()
        self.names: dict[str, str] = {}
        self.counts: dict[str, LinkCount] = {}
        for channel, table in profile.sources().items():
            source = check_source(SerialSource, table, f"readings.{reading_of(channel)}.source")
            if source.link is not None:
                self.counts[channel] = source.link
            else:
                self.names[channel] = source.name or channel
        self._channels = {name: channel for channel, name in self.names.items()}
        if len(self._channels) < len(self.names):
            raise ConfigError("driver serial: two channels have the same source.name")
        self.commands = {
            name: check_source(CommandSource, command.source, f"commands.{name}.source").name or name
            for name, command in profile.commands.items()
        }
        self.faults: dict[str, str] = {}
        self.command_faults: dict[str, str] = {}
        self.strangers: tuple[str, ...] = ()
        self.awaited: tuple[str, ...] = ()
        self._described: frozenset[str] = frozenset()

    def describe(self, description: Description) -> None:
        """Compares what the board has with what the profile says."""
        channels = {each.name: each for each in description.channels}
        commands = {each.name: each for each in description.commands}
        has = ", ".join(channels) or "none"
        self.faults, self.command_faults = {}, {}
        self._described = frozenset(channels)
        awaited: list[str] = []
        for channel, name in self.names.items():
            found = channels.get(name)
            kind = self._kinds[channel]
            if found is None and kind.type in _HAPPENING and not kind.unit:
                awaited.append(channel)
            elif found is None:
                self.faults[channel] = (
                    f"the board has no channel {name!r}, it has {has}; give"
                    f' readings.{channel}.source = {{ name = "…" }}, or take it out of the profile'
                )
            elif (_TYPES[found.kind], kind.type) not in _FITTING:
                self.faults[channel] = (
                    f"the board gives {_TYPES[found.kind]}, the profile says {kind.type}; change one of them"
                )
            elif found.unit and kind.unit and found.unit != kind.unit:
                self.faults[channel] = (
                    f"the board gives {found.unit}, the profile says {kind.unit}; change one"
                )
        for command, name in self.commands.items():
            fault = self._command_fault(command, commands.get(name), ", ".join(commands) or "none")
            if fault and command != FIRMWARE_UPDATE:
                self.command_faults[command] = f"command {command}: {fault}"
        self.strangers = tuple(name for name in channels if name not in self._channels)
        self.awaited = tuple(awaited)

    def channels(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values by the profile's names; those that do not fit are left out, strangers are kept."""
        found = {}
        for name, value in values.items():
            channel = self._channels.get(name)
            if channel is not None:
                if channel not in self.faults:
                    found[channel] = value
            elif name not in self._kinds:  # else it would be taken for a channel that comes from elsewhere
                found[name] = value
        return found

    def event_channel(self, name: str) -> str | None:
        """The channel whose values an event of the board is; None for none, and for a measured number."""
        channel = self._channels.get(name)
        if channel is None or self._kinds[channel].unit or channel in self.faults:
            return None
        is_number = self._kinds[channel].type in ("float", "int")
        return None if is_number and name in self._described else channel

    def happened(self, channel: str, name: str, text: str, count: int) -> Value:
        """What an event is as a value of a channel: its text, or its name; its number; or `true`."""
        value: Mapping[str, Value] = {"str": text or name, "bool": True, "int": count, "float": count}
        return value[self._kinds[channel].type]

    def _command_fault(self, name: str, found: Command | None, has: str) -> str:
        if found is None:
            return f"the board does not have it, it has {has}; give commands.{name}.source, or take it out"
        known = {each.name: each for each in found.parameters}
        expected = self._profile.commands[name].args
        for key, argument in expected.items():
            if key not in known:
                return f"the board takes no argument {key!r}, it takes {', '.join(known) or 'none'}"
            if (argument.type, _TYPES[known[key].kind]) not in _FITTING:
                return f"argument {key}: the board takes {_TYPES[known[key].kind]}, not {argument.type}"
        for key, parameter in known.items():
            if key not in expected and not parameter.optional:
                return f"the board needs the argument {key!r}, which the profile does not have"
        return ""
