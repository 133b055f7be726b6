"""The tables of a profile as text: a reading's, and a command's; what would not load becomes a comment."""

import json
import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from firmware_bridge.binding import Binding
from firmware_bridge.messages import Command
from firmware_bridge.values import Kind
from iotxmpp.errors import InvalidError
from iotxmpp.profiles import parse_profile
from iotxmpp.units import unit_fault

TYPES = {Kind.FLOAT: "float", Kind.INT: "int", Kind.BOOL: "bool", Kind.STR: "str"}
"""A profile's types for those of a board."""

_LONGEST = 63
_EXACT = 2**53
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BAD = re.compile(r"[^A-Za-z0-9:._-]")
_HEAD = 'schema = 1\nid = "made"\nversion = "1.0.0"\ndriver = { kind = "serial" }\n'


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A reading of a board.

    Attributes:
        name: The board's name for it.
        type: As in a profile.
        unit: As the board says it, or as it is guessed; or empty.
        sure: Whether the board itself says type and unit.
        bounds: Its lowest and highest value; None for none.
    """

    name: str
    type: str
    unit: str = ""
    sure: bool = True
    bounds: tuple[float, float] | None = None

    @property
    def is_number(self) -> bool:
        """Whether it may have a unit and a range."""
        return self.type in {"float", "int"}


def plain_names(names: Collection[str]) -> dict[str, str]:
    """A name for each that a profile takes, no two alike; the same one where it does."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda each: (_plain(each) != each, each)):
        plain, number = _plain(name), 1
        while plain in taken:
            number += 1
            plain = f"{_plain(name)[: _LONGEST - 4]}-{number}"
        taken.add(plain)
        found[name] = plain
    return found


def reading_lines(plain: str, count: int, reading: Reading, name: str) -> list[str]:
    """The table of a reading.

    Args:
        plain: Its name in the profile.
        count: How many there are of it, numbered from 1 on; 0 for one without a number.
        reading: What it is.
        name: The board's name, of all of them without a number.
    """
    doubt = "" if reading.sure else "  # check"
    lines = [f"[readings.{key(plain)}]", f'type = "{reading.type}"{doubt}']
    if reading.unit:
        lines.append(_unit(reading, doubt))
    if reading.bounds is not None and reading.bounds[0] < reading.bounds[1]:
        lines.append(_range(reading, *reading.bounds))
    if count:
        lines.append(f"count = {count}")
    if plain != name:
        lines.append(f"source = {{ name = {text(name)} }}")
    return loadable(lines)


def command_lines(plain: str, command: Command) -> list[str]:
    """The table of a command, by its name in the profile."""
    lines = [f"[commands.{key(plain)}]"]
    if command.idempotent:
        lines.append("idempotent = true")
    if plain != command.name:
        lines.append(f"source = {{ name = {text(command.name)} }}")
    for each in command.parameters:
        optional = ", optional = true" if each.optional else ""
        lines.append(f'args.{key(each.name)} = {{ type = "{TYPES[each.kind]}"{optional} }}')
    return loadable(lines)


def loadable(lines: Sequence[str]) -> list[str]:
    """The table, as a comment that says why if a profile with it would not load."""
    try:
        Binding(parse_profile(_HEAD + "\n".join(lines), "made"))
    except InvalidError as error:
        why = str(error).removeprefix("made: ")
        return comment([f"check, left out: {why}", *lines])
    return list(lines)


def comment(lines: Iterable[str]) -> list[str]:
    """Lines that are not read."""
    return [f"# {part}" for line in lines for part in (line.splitlines() or [""])]


def text(words: str) -> str:
    """A TOML string."""
    return json.dumps(words, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """A TOML key."""
    return name if _BARE.fullmatch(name) else text(name)


def _plain(name: str) -> str:
    plain = _BAD.sub("-", name)[:_LONGEST]
    return plain if plain[:1].isalnum() else f"x{plain[: _LONGEST - 1]}"


def _unit(reading: Reading, doubt: str) -> str:
    fault = unit_fault(reading.unit) if reading.is_number else f"a {reading.type} has none"
    if fault is None:
        return f"unit = {text(reading.unit)}{doubt}"
    return " ".join(comment([f"unit = {text(reading.unit)}  # check: {fault}"]))


def _range(reading: Reading, low: float, high: float) -> str:
    shown = f"range = [{_number(low)}, {_number(high)}]"
    if not reading.is_number:
        return f"# {shown}  # check: a {reading.type} has none"
    if reading.type == "float":
        return shown
    first, last = math.ceil(low), math.floor(high)
    whole = f"range = [{first}, {last}]"
    if first >= last or max(-first, last) >= _EXACT:
        return f"# {shown}  # check: too narrow or too wide for whole numbers"
    return whole if (first, last) == (low, high) else f"{whole}  # check: the board says {shown}"


def _number(number: float) -> str:
    return f"{number:.0f}" if number == int(number) and abs(number) < _EXACT else repr(number)
