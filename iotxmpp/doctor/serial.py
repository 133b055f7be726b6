"""Checks of serial ports: found, allowed, free, and not reset by being opened."""

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from iotxmpp.doctor.finding import Finding, advice, fault, graded, ok
from iotxmpp.doctor.places import Places, entries, processes
from iotxmpp.doctor.ports import SerialPort, serial_ports
from iotxmpp.kernelfiles import held_by, text_of

_STEALS = {"1a86:7523", "10c4:ea60", "0403:6001", "0403:6015"}
"""Chips that brltty takes for Braille displays."""

_GROUP_OPENS = 0o060


def check_ports(places: Places, *, needed: bool, wanted: str = "") -> list[Finding]:
    """Which ports there are, and what is probably behind each.

    Args:
        places: Where to look.
        needed: Whether the device's driver uses a port.
        wanted: The port of its settings, which may hold `*`; empty for none.
    """
    ports = serial_ports(places, wanted)
    found = [ok(_sentence(port), _name_that_stays(port)) for port in ports]
    if needed and not ports:
        why = "the board is not plugged in, its cable has no data lines, or the kernel has no driver for it"
        found.append(fault("no serial port is there", why, "sudo dmesg --follow", "lsusb"))
    if wanted.startswith("/") and not any(port.meant for port in ports):
        what = "no serial port" if os.path.exists(wanted) else "not there"  # noqa: PTH110  # a text, as users gave it
        found.append(fault(f"port {wanted} of the agent's file is {what}", f"there are: {_names(ports)}"))
    is_name = wanted and not wanted.startswith("/") and "://" not in wanted
    if is_name and not os.path.exists(wanted):  # noqa: PTH110  # a text, as users gave it
        why, *fix = _path_meant(wanted.removeprefix("dev/"), ports, places)
        found.append(fault(f"port {wanted} of the agent's file is no path", why, *fix))
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


def _path_meant(name: str, ports: list[SerialPort], places: Places) -> tuple[str, ...]:
    """Which path was meant by a name, and what to write."""
    if name.startswith("tty") or (name and (places.dev / name).exists()):
        return f"did you mean /dev/{name}?", f'port = "/dev/{name}"'
    return (f"there are: {_names(ports)}",)


def _names(ports: list[SerialPort]) -> str:
    return ", ".join(str(port.by_path or port.path) for port in ports) or "none"


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


def check_port_rights(
    places: Places, *, needed: bool, wanted: str = "", user: str = "$USER"
) -> list[Finding]:
    """Whether this user may open the ports.

    Args:
        places: Where to look.
        needed: Whether the device's driver uses a port.
        wanted: The port of its settings; empty for any.
        user: Who is to be given the right.
    """
    found = []
    for port in serial_ports(places, wanted):
        if os.access(port.path, os.R_OK | os.W_OK):
            found.append(ok(f"{port.path} may be opened"))
            continue
        why, fix = _way_in(port.path, places, user)
        what = f"{port.path} may not be opened by this user"
        found.append(graded(needed and port.meant, what, why, *fix))
    return found


def _way_in(path: Path, places: Places, user: str) -> tuple[str, tuple[str, ...]]:
    """Why a port is closed, and what opens it."""
    owner = path.stat()
    group = _group(owner.st_gid, places) or "dialout"
    if owner.st_mode & _GROUP_OPENS != _GROUP_OPENS:
        why = "its mode lets no group write and read; mostly that of a login, which has the port"
        is_login = path.resolve().name.startswith("tty")
        end = (f"sudo systemctl disable --now serial-getty@{path.resolve().name}",) if is_login else ()
        return why, (f"ls -lL {path}", *end)
    why = f"it belongs to the group {group}; a new group counts from the next login on"
    return why, (f"sudo usermod -aG {group} {user}", "log out and in again")


def _group(group: int, places: Places) -> str:
    number = str(group)
    rows = (line.split(":") for line in text_of(places.etc / "group").splitlines())
    return next((row[0] for row in rows if len(row) > 2 and row[2] == number), "")  # noqa: PLR2004  # group(5)


def check_holders(
    places: Places, *, wanted: str = "", own: int | None = None, config: Path | None = None
) -> list[Finding]:
    """Which programs hold a port open.

    Whoever has the other end of a pseudo-terminal is the board there, and none of them.

    Args:
        places: Where to look.
        wanted: The port of the device's settings; empty for none.
        own: The process that is not told; this one unless given.
        config: The agent's file: the agent that runs it may hold its port. None for no device.
    """
    own = os.getpid() if own is None else own
    ports = {port.path.resolve(): port.path for port in serial_ports(places, wanted)}
    found = []
    for process, name in processes(places).items():
        folder = places.proc / str(process)
        held = held_by(folder, ports) if process != own else set()
        is_agent = bool(held) and config is not None and _runs(folder, config)
        for path in (ports[goal] for goal in sorted(held)):
            if is_agent:
                why = "stop the agent before another program, such as iotxmpp serial probe, takes the port"
                found.append(ok(f"{path} is held by this device's own agent (process {process})", why))
                continue
            why = "two programs at one port take each other's bytes"
            found.append(
                advice(
                    f"{path} is held by {name or 'a program'} (process {process})", why, f"ps -fp {process}"
                )
            )
    hidden = os.geteuid() != 0 and bool(ports)
    return found or [ok("no program holds a serial port" + (", as far as this user sees" if hidden else ""))]


def _runs(process: Path, config: Path) -> bool:
    """Whether a process is the agent of a file, by its command line: `… agent run FILE`."""
    words = text_of(process / "cmdline").split("\0")
    after = next((at + 2 for at, pair in enumerate(pairwise(words)) if pair == ("agent", "run")), len(words))
    for word in words[after:]:
        with suppress(OSError, ValueError):  # no path
            if (process / "cwd" / word).samefile(config):
                return True
    return False


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
