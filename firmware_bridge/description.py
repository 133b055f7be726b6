"""What a board says that it has: its channels and commands, checked, and quick to decode with. No I/O."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from firmware_bridge.crc import crc16
from firmware_bridge.lines import NAMES, is_name
from firmware_bridge.messages import Channel, Command, parse_message
from firmware_bridge.values import READERS, Kind, write_arguments
from iotxmpp.errors import ArgumentsError, InvalidError, UnknownCommandError
from iotxmpp.readings import Value


def schema_of(bodies: Sequence[bytes]) -> int:
    """The schema of descriptions: the check over the bodies of all channels, then of all commands."""
    return crc16(b"".join(bodies))


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The channels and commands of one firmware, in their order."""

    channels: tuple[Channel, ...]
    commands: tuple[Command, ...]

    @classmethod
    def parse(cls, bodies: Sequence[bytes], schema: int, who: str) -> "Description":
        """The description in the bodies of CHANNEL and COMMAND messages, in their order.

        Args:
            bodies: All channels, then all commands.
            schema: What the board's hello says that their check is.
            who: The board, for the text of an error.

        Raises:
            InvalidError: They contradict each other or the schema, or a name breaks its rules.
        """
        if schema_of(bodies) != schema:
            raise InvalidError(
                f"{who}: its hello says schema {schema:04X}, what it describes has {schema_of(bodies):04X};"
                " the firmware must compute it over the bodies that it sends"
            )
        parsed = [parse_message(body) for body in bodies]
        channels = tuple(each for each in parsed if isinstance(each, Channel))
        commands = tuple(each for each in parsed if isinstance(each, Command))
        _check_names("channel", [each.name for each in channels], who)
        _check_names("command", [each.name for each in commands], who)
        for command in commands:
            names = [each.name for each in command.parameters]
            _check_names(f"command {command.name}: argument", names, who)
        for channel in channels:
            _check_range(channel, who)
        return cls(channels=channels, commands=commands)

    def command(self, name: str) -> Command:
        """The command of that name.

        Raises:
            UnknownCommandError: There is none.
        """
        for command in self.commands:
            if command.name == name:
                return command
        known = ", ".join(each.name for each in self.commands) or "none"
        raise UnknownCommandError(f"command {name!r}: the board has {known}")

    def encode(self, name: str, arguments: Mapping[str, Value]) -> tuple[int, bytes]:
        """A command's index, and its arguments as a CALL carries them.

        Raises:
            UnknownCommandError: There is no such command.
            ArgumentsError: The arguments do not fit it.
        """
        command = self.command(name)
        if not arguments and not command.parameters:
            return command.index, b""
        known = {each.name: each for each in command.parameters}
        for given in arguments:
            if given not in known:
                raise ArgumentsError(
                    f"command {name}: no argument {given!r}; it has {', '.join(known) or 'none'}"
                )
        values: list[Value | None] = []
        for parameter in command.parameters:
            value = arguments.get(parameter.name)
            if value is None and not parameter.optional:
                raise ArgumentsError(f"command {name}: argument {parameter.name!r} is missing")
            if parameter.kind is Kind.INT and isinstance(value, float) and value.is_integer():
                value = int(value)
            values.append(value)
        try:
            return command.index, write_arguments([each.kind for each in command.parameters], values)
        except InvalidError as error:
            raise ArgumentsError(f"command {name}: {error}") from error


class Decoder:
    """Reads the values of reports by a description."""

    def __init__(self, description: Description) -> None:
        self._table = [(each.name, READERS[each.kind]) for each in description.channels]

    def decode(self, data: bytes) -> tuple[dict[str, Value], list[str]]:
        """A report's values by channel, and the channels whose value is no number.

        Raises:
            InvalidError: It does not fit the description.
        """
        values: dict[str, Value] = {}
        dropped: list[str] = []
        table = self._table
        place, size = 0, len(data)
        try:
            while place < size:
                name, read = table[data[place]]
                value, place = read(data, place + 1)
                if value.__class__ is float and value - value != 0.0:
                    dropped.append(name)
                else:
                    values[name] = value
        except (IndexError, struct.error) as error:
            raise InvalidError(
                "report: a channel that the board did not describe, or its end inside a value; a board whose"
                " channels change must send a new hello first"
            ) from error
        return values, dropped


def _check_names(what: str, names: list[str], who: str) -> None:
    for name in names:
        if not is_name(name):
            raise InvalidError(f"{who}: {what} {name!r}: {NAMES}; change it in the firmware")
    for one, other in pairwise(sorted(names)):
        if one == other:
            raise InvalidError(f"{who}: {what} {one!r} stands there twice; rename one in the firmware")


def _check_range(channel: Channel, who: str) -> None:
    low, high = channel.low, channel.high
    if low is not None and high is not None and not low <= high:
        raise InvalidError(f"{who}: channel {channel.name!r}: its range is {low:g} to {high:g}; swap them")
    if low is not None and channel.kind not in (Kind.FLOAT, Kind.INT):
        raise InvalidError(f"{who}: channel {channel.name!r}: a range is for numbers only; leave it out")
