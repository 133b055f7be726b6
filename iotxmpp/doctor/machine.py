"""Checks of the machine: clock, disk, memory, power and Python."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from iotxmpp.agent.clock import FIRST_CREDIBLE, LAST_CREDIBLE, synchronised
from iotxmpp.agent.drivers.mounts import FSTAB, not_mounted
from iotxmpp.doctor.finding import Finding, advice, fault, ok
from iotxmpp.doctor.places import Places, entries
from iotxmpp.kernelfiles import text_of

OLDEST_PYTHON = (3, 11)
SLOW_SYNC = 1.0
"""Seconds for one fsync(2) from which on a disk is told to be slow."""

LEAST_MEMORY = 64 << 20
"""Bytes of free memory from which on it is told to be little."""

_NTP = ("sudo timedatectl set-ntp true", "timedatectl timesync-status")
_NOW, _SINCE_START = 0x1, 0x10000  # bits of get_throttled: under-voltage


def check_clock(
    wall: Callable[[], float] = time.time, is_synchronised: Callable[[], bool] = synchronised
) -> list[Finding]:
    """Whether the clock is set, and kept right."""
    now = wall()
    if not FIRST_CREDIBLE <= now < LAST_CREDIBLE:
        why = "readings keep the time since the system's start, until it is; certificates cannot be checked"
        return [fault(f"the clock is not set: it shows {now:.0f} s since 1970", why, *_NTP)]
    if not is_synchronised():
        why = "readings are marked as of a clock that may be wrong (quality u), and none are given up by age"
        return [advice("the clock is not synchronised", why, *_NTP)]
    return [ok("the clock is synchronised")]


def check_disk(outbox: Path | None, *, room: int = 64 << 20) -> list[Finding]:
    """Whether the outbox's folder can be written and synced, and has room.

    Args:
        outbox: The outbox's file; None for memory.
        room: Bytes that it may grow to.
    """
    if outbox is None:
        why = "readings that wait are lost when the agent ends"
        return [advice("the outbox is in memory", why, 'remove outbox = "memory" from the agent\'s file')]
    folder = next(each for each in outbox.absolute().parents if each.exists())
    try:
        if outbox.exists() and not outbox.is_file():
            why = "the agent would not start"
            return [fault(f"the outbox {outbox} is no regular file", why, "give outbox another path")]
        took = _sync(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        why = f"{error.strerror or error}: readings would wait in memory alone, and be lost at a power cut"
        return [
            fault(
                f"the outbox's folder {folder} cannot be written", why, f"ls -ld {folder}", f"df -h {folder}"
            )
        ]
    found = [ok(f"the outbox's folder {folder} can be written and synced, in {took * 1000:.0f} ms")]
    if took > SLOW_SYNC:
        why = "readings wait for each sync; a worn SD card becomes as slow as this before it fails"
        found = [advice(f"the disk of {folder} took {took:.1f} s for one sync", why)]
    if free < room:
        why = f"the outbox may grow to {room >> 20} MB; `bytes` in [outbox] says how far"
        found.append(fault(f"{folder} has {free >> 20} MB left", why, f"df -h {folder}", "sudo apt clean"))
    return found


def check_mount(disk: Path, fstab: Path | None = None) -> list[Finding]:
    """Whether the disk is there of which the device tells how full it is.

    Args:
        disk: A path on it, as `disk` in the host driver's settings names it.
        fstab: The table of what is to be mounted; this machine's unless given.
    """
    try:
        missing = not_mounted(disk, fstab)
        if missing is not None:
            why = f"the folder is there, and lies on another disk; {FSTAB} says that one is mounted there"
            fix = ("lsblk -f", f"sudo mount {shlex.quote(str(missing))}")
            return [fault(f"no disk is mounted at {missing}", why, *fix)]
        shutil.disk_usage(disk)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        said = getattr(error, "strerror", None) or error
        why = f"{said}; plug it in and mount it, or correct `disk` in [driver]"
        return [fault(f"the disk at {disk} is not there", why, "lsblk -f", f"findmnt {disk}")]
    return [ok(f"the disk at {disk} is there")]


def _sync(folder: Path) -> float:
    """Seconds that it took to write a small file and sync it; it is gone afterwards."""
    started = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"iotxmpp doctor")
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - started


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> list[Finding]:
    """Whether Python is new enough."""
    text = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return [fault(f"Python {text} is too old", "iotxmpp needs 3.11", "sudo apt install python3.11-venv")]
    return [ok(f"Python {text}")]


def check_memory(places: Places) -> list[Finding]:
    """Whether there is memory left."""
    rows = dict(line.split(":", 1) for line in text_of(places.proc / "meminfo").splitlines() if ":" in line)
    words = rows.get("MemAvailable", "").split()
    if not words or not words[0].isdigit():
        return [ok("how much memory is free is not told here")]
    free = int(words[0]) << 10
    if free < LEAST_MEMORY:
        why = "an agent takes about 40 MB; without memory the kernel ends programs"
        return [advice(f"{free >> 20} MB of memory are free", why, "ps aux --sort=-rss | head")]
    return [ok(f"{free >> 20} MB of memory are free")]


def check_power(places: Places, ask: Callable[[], str] | None = None) -> list[Finding]:
    """Whether a Pi's power supply is strong enough, where that is told.

    Args:
        places: Where to look.
        ask: Gives what `vcgencmd get_throttled` says, such as `throttled=0x50000`; may be empty.
    """
    said = (ask or _vcgencmd)().partition("=")[2]
    try:
        bits = int(said, 16) if said else 0
    except ValueError:
        said, bits = "", 0
    alarms = [
        text_of(folder / "in0_lcrit_alarm")
        for folder in entries(places.sys / "class/hwmon")
        if text_of(folder / "name") == "rpi_volt"
    ]
    why = "the SD card and USB devices fail at random then: use the Pi's own supply and a short, thick cable"
    if bits & _NOW or "1" in alarms:
        return [fault("the supply's voltage is too low", why, "vcgencmd get_throttled")]
    if bits & _SINCE_START:
        return [advice("the supply's voltage was too low since the start", why, "vcgencmd get_throttled")]
    if said or alarms:
        return [ok("the supply's voltage is right")]
    return [ok("this machine does not tell its supply's voltage")]


def _vcgencmd() -> str:
    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        asked = subprocess.run(  # noqa: S603  # the Pi's own program, with fixed arguments
            [program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()
