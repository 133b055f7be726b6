"""The profile and the agent's file of a board that was probed. No I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from firmware_bridge.findings import Findings, Seen
from firmware_bridge.messages import Command
from firmware_bridge.pms5003 import BAUD as PMS5003_BAUD
from firmware_bridge.profiletext import TYPES, Reading, command_lines, plain_names, reading_lines, text
from iotxmpp.profiles import MOST_ARGUMENTS, MOST_COMMANDS
from iotxmpp.tables import MOST_BYTES

_NUMBERED = re.compile(r"(.+)/([1-9][0-9]{0,2})")
_NO_SLUG = re.compile(r"[^a-z0-9]+")
_LONGEST = 63
_LISTED = 8
_MOST_CHANNELS = 255  # of a board, whose numbers are bytes
_LEAST_HPA, _MOST_HPA = 300.0, 1100.0

_UNITS: tuple[tuple[str, str], ...] = (
    (r"humid|(^|[_.-])(rh|hum)($|[_.-])", "%RH"),
    (r"temp|dew|(^|[_.-])t($|[0-9_.-])", "Cel"),
    (r"co2|voc|ppm", "ppm"),
    (r"lux|light|illumin", "lx"),
    (r"pm[0-9]", "ug/m3"),
    (r"volt|(^|[_.-])(vcc|vbat)($|[_.-])", "V"),
    (r"amp|current", "A"),
    (r"energy|kwh", "kWh"),
    (r"power|watt", "W"),
    (r"dist|range", "cm"),
    (r"wind|speed", "m/s"),
    (r"rain", "mm"),
    (r"weight|mass", "kg"),
    (r"freq", "Hz"),
    (r"rssi", "dBm"),
    (r"soil|moist|batt|percent|level", "/100"),
    (r"(^|[_.-])ph($|[_.-])", "pH"),
)
"""What a name means, mostly; the first that fits counts."""


@dataclass(frozen=True, kw_only=True)
class Scaffold:
    """Two files, and what to do with them.

    Attributes:
        device: The name of the device.
        kind: The name of its kind.
        profile: The profile's text.
        agent: The text of the agent's file.
    """

    device: str
    kind: str
    profile: str
    agent: str


def scaffold(findings: Findings, *, ports: Mapping[str, str]) -> Scaffold:
    """The files of a board.

    Args:
        findings: What it said.
        ports: The lasting names of the ports of this machine that are asked for boards, by their paths.
    """
    board = findings.board
    device = slug((board and (board.id or board.name)) or "board-1")
    kind = slug((board and (board.name or board.id)) or "board")
    if findings.protocol == "pms5003":
        return Scaffold(
            device=device, kind="pms5003", profile="", agent=_agent(findings, device, "pms5003", ports)
        )
    return Scaffold(
        device=device,
        kind=kind,
        profile=_profile(findings, kind),
        agent=_agent(findings, device, f"{kind}.profile.toml", ports),
    )


def profile_name(made: Scaffold) -> str:
    """The profile's file, as the agent's file names it."""
    return f"{made.kind}.profile.toml"


def slug(text: str) -> str:
    """A name of a-z, 0-9 and - for it."""
    return _NO_SLUG.sub("-", text.lower()).strip("-")[:_LONGEST].strip("-") or "board"


def guessed_unit(name: str, seen: Seen | None) -> str:
    """The unit that a channel of this name has, mostly; empty for no idea."""
    lower = name.lower()
    if "pres" in lower or "baro" in lower:
        is_hpa = seen is None or _LEAST_HPA <= seen.high <= _MOST_HPA
        return "hPa" if is_hpa else "Pa"
    return next((unit for pattern, unit in _UNITS if re.search(pattern, lower)), "")


def _profile(findings: Findings, kind: str) -> str:
    board = findings.board
    of = f", of firmware {board.version}" if board is not None and board.version else ""
    head = [
        "schema = 1",
        f"id = {text(kind)}",
        'version = "1.0.0"',
        f"title = {text(board.name if board is not None and board.name else 'Board at a serial port')}",
        f"description = {text(f'Written by iotxmpp serial probe{of}')}",
        f'driver = {{ kind = "serial", baud = {findings.baud} }}',
    ]
    readings = _readings(findings)
    commands = findings.description.commands if findings.description is not None else ()
    notes = []
    if findings.unread and findings.description is None:
        why = "what came is no number (is the sensor wired?)"
        notes.append(_left_out(sorted(findings.unread), why))
    if readings[_MOST_CHANNELS:]:
        names = [each.name for each in readings[_MOST_CHANNELS:]]
        notes.append(_left_out(names, f"a board has at most {_MOST_CHANNELS} channels"))
        readings = readings[:_MOST_CHANNELS]
    kept = _as_many_as_fit(commands)
    if commands[kept:]:
        why = f"a profile has at most {MOST_COMMANDS} commands with {MOST_ARGUMENTS} arguments"
        notes.append(_left_out([each.name for each in commands[kept:]], why))
    return _fitting([*head, *notes], readings, commands[:kept])


def _as_many_as_fit(commands: Sequence[Command]) -> int:
    """How many of a board's commands a profile may have, from the first on."""
    arguments = accumulate(len(each.parameters) for each in commands[:MOST_COMMANDS])
    return sum(1 for count in arguments if count <= MOST_ARGUMENTS)


def _fitting(head: Sequence[str], readings: Sequence[Reading], commands: Sequence[Command]) -> str:
    """The text, without what a profile has no room for; it says so."""
    why = f"a profile has at most {MOST_BYTES} bytes"
    tables = [*_reading_tables(readings), *_command_tables(commands)]
    if _size(_joined(head, tables)) > MOST_BYTES and any(each.bounds for each in readings):
        head = [*head, f"# check, left out, as {why}: the range of each reading"]
        plain = [replace(each, bounds=None) for each in readings]
        tables = [*_reading_tables(plain), *_command_tables(commands)]
    left: list[str] = []
    made = _joined(head, tables)
    while _size(made) > MOST_BYTES:
        left.insert(0, tables.pop()[0])
        made = _joined([*head, _left_out(left, why)], tables)
    return made


def _left_out(names: Sequence[str], why: str) -> str:
    more = f" and {len(names) - _LISTED} more" if names[_LISTED:] else ""
    return f"# check, left out, as {why}: {', '.join(map(text, names[:_LISTED]))}{more}"


def _joined(head: Sequence[str], tables: Sequence[tuple[str, list[str]]]) -> str:
    return "\n".join([*head, *(line for _, lines in tables for line in ("", *lines))]) + "\n"


def _size(made: str) -> int:
    return len(made.encode())


def _reading_tables(readings: Sequence[Reading]) -> list[tuple[str, list[str]]]:
    found = _grouped(readings)
    names = plain_names([name for name, _, _ in found])
    return [
        (f"readings.{names[name]}", reading_lines(names[name], count, each, name))
        for name, count, each in found
    ]


def _command_tables(commands: Sequence[Command]) -> list[tuple[str, list[str]]]:
    by_name = {each.name: each for each in commands}
    return [
        (f"commands.{plain}", command_lines(plain, by_name[name]))
        for name, plain in plain_names(by_name).items()
    ]


def _readings(findings: Findings) -> list[Reading]:
    """What the board gives, each once: what it describes, or what was seen of it; and its events."""
    if findings.description is not None:
        known = [
            Reading(
                name=each.name,
                type=TYPES[each.kind],
                unit=each.unit,
                bounds=None if each.low is None or each.high is None else (each.low, each.high),
            )
            for each in findings.description.channels
        ]
    else:
        known = [_seen(name, seen) for name, seen in sorted(findings.channels.items())]
    named = {each.name: each for each in known}
    events = [Reading(name=name, type="str", sure=False) for name in sorted(findings.events)]
    return [*named.values(), *(each for each in events if each.name not in named)]


def _seen(name: str, seen: Seen) -> Reading:
    """What the values that came say; whole numbers of a measure may have a fraction later."""
    unit = "" if seen.kinds & {"bool", "str"} else guessed_unit(name, seen)
    if seen.kinds == {"bool"}:
        return Reading(name=name, type="bool")
    if "str" in seen.kinds or "bool" in seen.kinds:
        return Reading(name=name, type="str", sure=len(seen.kinds) == 1)
    kind = "int" if seen.kinds == {"int"} and not unit else "float"
    return Reading(name=name, type=kind, unit=unit, sure=False)


def _grouped(readings: Sequence[Reading]) -> list[tuple[str, int, Reading]]:
    """Readings of one kind that are numbered from 1 on are one with a count."""
    groups: dict[str, dict[int, Reading]] = {}
    for each in readings:
        match = _NUMBERED.fullmatch(each.name)
        if match is not None:
            groups.setdefault(match[1], {})[int(match[2])] = each
    single = {each.name for each in readings}
    whole = {
        name: group
        for name, group in groups.items()
        if sorted(group) == list(range(1, len(group) + 1))
        and len({(each.type, each.unit, each.bounds) for each in group.values()}) == 1
        and "/" not in name
        and name not in single
    }
    found: list[tuple[str, int, Reading]] = []
    for each in readings:
        match = _NUMBERED.fullmatch(each.name)
        if match is None or match[1] not in whole:
            found.append((each.name, 0, each))
        elif int(match[2]) == 1:
            found.append((match[1], len(whole[match[1]]), each))
    return found


def _agent(findings: Findings, device: str, profile: str, ports: Mapping[str, str]) -> str:
    lines = [f'account = "{device}.account.toml"', f"profile = {text(profile)}", "", "[driver]"]
    board = findings.board
    named = board is not None and bool(board.id)
    if board is not None and named:
        lines.append(f"board = {text(board.id)}  # found at whichever port it is")
    if not named or findings.port not in ports:
        lines.append(f"port = {text(ports.get(findings.port, findings.port))}")
    else:
        lines.append(f"# port = {text(ports[findings.port])}  # to ask no other port")
    if findings.protocol == "pms5003" and findings.baud != PMS5003_BAUD:
        lines.append(f"baud = {findings.baud}")
    return "\n".join(lines) + "\n"
