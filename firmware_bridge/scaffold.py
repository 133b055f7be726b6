"""The profile and the agent's file of a board that was probed. No I/O."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.messages import Command
from firmware_bridge.pms5003 import BAUD as PMS5003_BAUD
from firmware_bridge.probing import Findings, Seen
from firmware_bridge.values import Kind
from iotxmpp.units import unit_fault

_TYPES = {Kind.FLOAT: "float", Kind.INT: "int", Kind.BOOL: "bool", Kind.STR: "str"}
_NUMBERED = re.compile(r"(.+)/([1-9][0-9]{0,2})")
_NO_SLUG = re.compile(r"[^a-z0-9]+")
_LONGEST = 63
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
    lines = [
        "schema = 1",
        f"id = {_text(kind)}",
        'version = "1.0.0"',
        f"title = {_text(board.name if board is not None and board.name else 'Board at a serial port')}",
        f"description = {_text(f'Written by iotxmpp serial probe{of}')}",
        f'driver = {{ kind = "serial", baud = {findings.baud} }}',
    ]
    for reading in _readings(findings):
        lines += ["", *reading]
    for command in findings.description.commands if findings.description is not None else ():
        lines += ["", *_command(command)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class _Reading:
    name: str
    type: str
    unit: str = ""
    sure: bool = True
    bounds: tuple[float, float] | None = None


def _readings(findings: Findings) -> list[list[str]]:
    if findings.description is not None:
        known = [
            _Reading(
                name=each.name,
                type=_TYPES[each.kind],
                unit=each.unit,
                bounds=None if each.low is None or each.high is None else (each.low, each.high),
            )
            for each in findings.description.channels
        ]
    else:
        known = [_seen(name, seen) for name, seen in sorted(findings.channels.items())]
        known += [
            _Reading(name=name, type="str", sure=False)
            for name in sorted(findings.events)
            if name not in findings.channels
        ]
    return [_lines(name, count, each) for name, count, each in _grouped(known[:_MOST_CHANNELS])]


def _seen(name: str, seen: Seen) -> _Reading:
    """What the values that came say; whole numbers of a measure may have a fraction later."""
    unit = "" if seen.kinds & {"bool", "str"} else guessed_unit(name, seen)
    if seen.kinds == {"bool"}:
        return _Reading(name=name, type="bool")
    if "str" in seen.kinds or "bool" in seen.kinds:
        return _Reading(name=name, type="str", sure=len(seen.kinds) == 1)
    kind = "int" if seen.kinds == {"int"} and not unit else "float"
    return _Reading(name=name, type=kind, unit=unit, sure=False)


def _grouped(readings: Sequence[_Reading]) -> list[tuple[str, int, _Reading]]:
    """Readings of one kind that are numbered from 1 on are one with a count."""
    groups: dict[str, dict[int, _Reading]] = {}
    for each in readings:
        match = _NUMBERED.fullmatch(each.name)
        if match is not None:
            groups.setdefault(match[1], {})[int(match[2])] = each
    whole = {
        name: group
        for name, group in groups.items()
        if sorted(group) == list(range(1, len(group) + 1))
        and len({(each.type, each.unit) for each in group.values()}) == 1
        and "/" not in name
    }
    found: list[tuple[str, int, _Reading]] = []
    for each in readings:
        match = _NUMBERED.fullmatch(each.name)
        if match is None or match[1] not in whole:
            found.append((each.name, 0, each))
        elif int(match[2]) == 1:
            found.append((match[1], len(whole[match[1]]), each))
    return found


def _lines(name: str, count: int, reading: _Reading) -> list[str]:
    plain = name.replace("/", "-")
    doubt = "" if reading.sure else "  # check"
    lines = [f"[readings.{_key(plain)}]", f'type = "{reading.type}"{doubt}']
    if reading.unit and unit_fault(reading.unit) is None:
        lines.append(f"unit = {_text(reading.unit)}{doubt}")
    elif reading.unit:
        lines.append(f"# unit = {_text(reading.unit)}  # check: {unit_fault(reading.unit)}")
    if reading.bounds is not None and reading.bounds[0] < reading.bounds[1]:
        low, high = reading.bounds
        lines.append(f"range = [{_number(low)}, {_number(high)}]")
    if count:
        lines.append(f"count = {count}")
    if plain != name:
        lines.append(f"source = {{ name = {_text(name)} }}")
    return lines


def _command(command: Command) -> list[str]:
    plain = command.name.replace("/", "-")
    lines = [f"[commands.{_key(plain)}]"]
    if command.idempotent:
        lines.append("idempotent = true")
    if plain != command.name:
        lines.append(f"source = {{ name = {_text(command.name)} }}")
    for each in command.parameters:
        optional = ", optional = true" if each.optional else ""
        lines.append(f'args.{_key(each.name)} = {{ type = "{_TYPES[each.kind]}"{optional} }}')
    return lines


def _agent(findings: Findings, device: str, profile: str, ports: Mapping[str, str]) -> str:
    lines = [f'account = "{device}.account.toml"', f"profile = {_text(profile)}", "", "[driver]"]
    board = findings.board
    named = board is not None and bool(board.id)
    if board is not None and named:
        lines.append(f"board = {_text(board.id)}  # found at whichever port it is")
    if not named or findings.port not in ports:
        lines.append(f"port = {_text(ports.get(findings.port, findings.port))}")
    else:
        lines.append(f"# port = {_text(ports[findings.port])}  # to ask no other port")
    if findings.protocol == "pms5003" and findings.baud != PMS5003_BAUD:
        lines.append(f"baud = {findings.baud}")
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _number(number: float) -> str:
    return f"{number:.0f}" if number == int(number) else repr(number)
