"""What the kernel shows as files: small texts, whether a path is a serial port, and who has one open."""

import os
import re
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_FAR_END = re.compile(r"^tty-index:\s*(\d+)", re.MULTILINE)


def text_of(path: Path) -> str:
    """What a small file says, without blanks around it; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().rstrip("\0")
    except (OSError, ValueError):
        return ""


def is_serial(path: Path | str, devices: Path) -> bool:
    """Whether a path is a serial port, by the kernel: nothing is opened, which restarts some boards.

    Args:
        path: The path.
        devices: Where sysfs shows the devices by their numbers: `/sys/dev/char`. What it does not tell of,
            such as a pseudo-terminal, may be a port.

    Raises:
        OSError: It is not there.
        ValueError: It is no path.
    """
    found = os.stat(path)  # noqa: PTH116  # it may be a text, as users gave it
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    try:
        kind = (devices / number / "subsystem").readlink().name
    except OSError:
        kind = "tty"
    return stat.S_ISCHR(found.st_mode) and kind == "tty"


def held_by(process: Path, ports: Collection[Path]) -> set[Path]:
    """Which of some ports a program has open, as far as this user may see.

    Whoever has the other end of a pseudo-terminal is the board there, and does not hold it.

    Args:
        process: Its folder, such as `/proc/12`.
        ports: The ports, by their real paths.
    """
    goals: dict[str, Path] = {}
    with suppress(OSError):  # another user's, or over meanwhile
        for link in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                goals[link.name] = link.readlink()
    held = {*goals.values()} & {*ports}
    if not held:
        return held
    far = [text_of(process / "fdinfo" / name) for name, goal in goals.items() if goal.name == "ptmx"]
    boards = {("pts", found[1]) for each in far if (found := _FAR_END.search(each))}
    return {port for port in held if (port.parent.name, port.name) not in boards}
