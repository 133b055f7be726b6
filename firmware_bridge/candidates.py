"""The serial ports of this machine: which there are, what is plugged in, and who holds one."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iotxmpp import kernelfiles

DEV = Path("/dev")
PROC = Path("/proc")
SYS = Path("/sys/class/tty")
DEVICES = Path("/sys/dev/char")

_BOARDS = ("ttyUSB*", "ttyACM*")
_OTHERS = ("ttyAMA*", "rfcomm*")
_MOST_PROCESSES = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A serial port that may lead to a board.

    Attributes:
        path: The device, such as `/dev/ttyUSB0`; it may be another at the next start.
        by_path: Its name by where it is plugged in, which two boards of one make never share; or empty.
        by_id: Its name by what its USB chip says; or empty.
        product: What its USB chip says that it is; or empty.
    """

    path: str
    by_path: str = ""
    by_id: str = ""
    product: str = ""

    @property
    def lasting(self) -> str:
        """The name to write into a file."""
        return self.by_path or self.by_id or self.path


def candidates(*, all_kinds: bool = False) -> list[Candidate]:
    """The ports that are there.

    Args:
        all_kinds: Whether ports that are no USB ones count, too: they may lead to a console or a modem.
    """
    patterns = (*_BOARDS, *_OTHERS) if all_kinds else _BOARDS
    by_path, by_id = _links("by-path"), _links("by-id")
    return [
        Candidate(
            path=str(path),
            by_path=by_path.get(str(path.resolve()), ""),
            by_id=by_id.get(str(path.resolve()), ""),
            product=_product(path.resolve().name),
        )
        for pattern in patterns
        for path in sorted(DEV.glob(pattern))
    ]


def ports_of(port: str | None) -> list[str]:
    """The ports that a setting means, each once: a path or URL, what fits a pattern, or all.

    Args:
        port: The setting; None for every candidate.
    """
    if port is None:
        return [each.path for each in candidates()]
    if "://" in port or not glob.has_magic(port):
        return [port]
    real: dict[str, str] = {}
    for path in sorted(glob.glob(port)):  # noqa: PTH207  # a pattern with its folder, as users write it
        real.setdefault(os.path.realpath(path), path)
    return list(real.values())


def is_serial(path: str) -> bool:
    """Whether a path may be a serial port, as far as that shows without opening it.

    To open one restarts some boards. What is not there, or what the system does not tell of, such as a
    pseudo-terminal, may be one.
    """
    try:
        return kernelfiles.is_serial(path, DEVICES)
    except (OSError, ValueError):
        return True


def holders(path: str) -> list[str]:
    """The programs that have a port open, as `name (process 12)`; those that this user may see.

    Whoever has the other end of a pseudo-terminal is the board there, and none of them.
    """
    real = Path(os.path.realpath(path))
    return [
        f"{kernelfiles.text_of(process / 'comm') or 'a program'} (process {process.name})"
        for process in _processes()
        if kernelfiles.held_by(process, (real,))
    ]


def _processes() -> Iterator[Path]:
    try:
        found = [path for path in PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return
    yield from (path for path in found[:_MOST_PROCESSES] if path.name != str(os.getpid()))


def _links(folder: str) -> dict[str, str]:
    try:
        return {str(link.resolve()): str(link) for link in sorted((DEV / "serial" / folder).iterdir())}
    except OSError:
        return {}


def _product(name: str) -> str:
    """What the USB device above a tty calls itself."""
    place = (SYS / name / "device").resolve()
    for folder in (place, *place.parents[:3]):
        words = [kernelfiles.text_of(folder / part) for part in ("manufacturer", "product")]
        if any(words):
            return " ".join(word for word in words if word)
    return ""
