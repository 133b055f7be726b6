"""Checks of serial ports: found, allowed, free, and not reset by being opened."""

import os
from collections.abc import Iterator
from pathlib import Path

from iotxmpp.doctor.finding import Finding, advice, fault, graded, ok
from iotxmpp.doctor.places import Places, entries, processes, text_of
from iotxmpp.doctor.ports import SerialPort, serial_ports

_STEALS = {"1a86:7523", "10c4:ea60", "0403:6001", "0403:6015"}
"""Chips that brltty takes for Braille displays."""


def check_ports(places: Places, *, needed: bool, wanted: str = "") -> list[Finding]:
    """Which ports there are, and what is probably behind each.

    Args:
        places: Where to look.
        needed: Whether the device's driver uses a port.
        wanted: The port of its settings, which may hold `*`; empty for none.
    """
    ports = serial_ports(places)
    found = [ok(_sentence(port), _name_that_stays(port)) for port in ports]
    if needed and not ports:
        why = "the board is not plugged in, its cable has no data lines, or the kernel has no driver for it"
        found.append(fault("no serial port is there", why, "sudo dmesg --follow", "lsusb"))
    if wanted.startswith("/") and not entries(Path(wanted).parent, Path(wanted).name):
        there = ", ".join(str(port.by_path or port.path) for port in ports) or "none"
        found.append(fault(f"port {wanted} of the agent's file is not there", f"there are: {there}"))
    kinds = [port.usb for port in ports]
    twins = [port for port in ports if kinds.count(port.usb) > 1 and port.by_id is None and port.by_path]
    if twins:
        names = ", ".join(port.path.name for port in twins)
        why = (
            "chips of one kind without a serial number share one name by-id; the name by-path is one socket's"
        )
        found.append(
            advice(f"{names}: no name of its own by-id", why, *(f'port = "{port.by_path}"' for port in twins))
        )
    return found or [ok("no serial port is there, and none is needed")]


def _sentence(port: SerialPort) -> str:
    parts = [str(port.path)]
    if port.chip or port.usb:
        parts.append(f"{port.chip or 'USB'} ({port.usb})")
    if port.board:
        parts.append(f"probably {port.board}")
    return ", ".join(parts)


def _name_that_stays(port: SerialPort) -> str:
    stays = port.by_path or port.by_id
    return f"its name that stays: {stays}" if stays else ""


def check_port_rights(places: Places, *, needed: bool, user: str = "$USER") -> list[Finding]:
    """Whether this user may open the ports."""
    found = []
    for port in serial_ports(places):
        if os.access(port.path, os.R_OK | os.W_OK):
            found.append(ok(f"{port.path} may be opened"))
            continue
        group = _group(port.path, places) or "dialout"
        found.append(
            graded(
                needed,
                f"{port.path} may not be opened by this user",
                f"it belongs to the group {group}; a new group counts from the next login on",
                f"sudo usermod -aG {group} {user}",
                "log out and in again",
            )
        )
    return found


def _group(path: Path, places: Places) -> str:
    number = str(path.stat().st_gid)
    rows = (line.split(":") for line in text_of(places.etc / "group").splitlines())
    return next((row[0] for row in rows if len(row) > 2 and row[2] == number), "")  # noqa: PLR2004  # group(5)


def check_holders(places: Places, *, own: int | None = None) -> list[Finding]:
    """Which programs hold a port open."""
    own = os.getpid() if own is None else own
    ports = {port.path.resolve(): port.path for port in serial_ports(places)}
    found = []
    for process, name in processes(places).items():
        for path in _held(places, process, ports) if process != own else ():
            why = "two programs at one port take each other's bytes"
            found.append(
                advice(
                    f"{path} is held by {name or 'a program'} (process {process})", why, f"ps -fp {process}"
                )
            )
    hidden = os.geteuid() != 0 and bool(ports)
    return found or [ok("no program holds a serial port" + (", as far as this user sees" if hidden else ""))]


def _held(places: Places, process: int, ports: dict[Path, Path]) -> Iterator[Path]:
    seen = set()
    try:
        for link in (places.proc / str(process) / "fd").iterdir():
            goal = link.readlink()
            if goal in ports and goal not in seen:
                seen.add(goal)
                yield ports[goal]
    except OSError:  # another user's, or over meanwhile
        return


def check_thieves(places: Places, *, needed: bool) -> list[Finding]:
    """Whether brltty or ModemManager is there, which take ports away from boards."""
    running = set(processes(places).values())
    rules = [
        rule
        for folder in (places.lib, places.etc)
        for rule in entries(folder / "udev/rules.d", "*brltty*.rules")
    ]
    rules = [rule for rule in rules if rule.resolve() != Path("/dev/null") and rule.stat().st_size]
    found = []
    if rules or any(name.startswith("brltty") for name in running):
        stolen = [port for port in serial_ports(places) if port.usb in _STEALS]
        why = "it takes CH340, CP210x and FTDI chips for Braille displays: the port vanishes once plugged in"
        fix = ("sudo apt remove brltty", "plug the board in again")
        where = f"by {rules[0]}" if rules else "it runs"
        found.append(graded(needed or bool(stolen), f"brltty is installed ({where})", why, *fix))
    if "ModemManager" in running:
        why = "it sends AT commands to every new port, which a board takes for commands of its own"
        found.append(graded(needed, "ModemManager runs", why, "sudo systemctl disable --now ModemManager"))
    return found or [ok("neither brltty nor ModemManager takes ports away")]


def check_reset(places: Places) -> list[Finding]:
    """Which boards start anew whenever their port is opened."""
    found = []
    for port in serial_ports(places):
        if not port.chip and not port.board.startswith(("Arduino Uno", "Arduino Mega")):
            continue
        why = "opening sets DTR, which resets most Arduinos: the first 2 s are lost, and what it counted"
        name = port.by_path or port.path
        found.append(
            Finding(
                level="ok",
                what=f"{port.path}: the board may start anew when the port is opened",
                why=f"{why}. The agent waits for the board's hello; `reset_wait` in [driver] says how long",
                fix=(f"stty -F {name} -hupcl",),
            )
        )
    return found or [ok("no port is there whose opening resets a board")]
