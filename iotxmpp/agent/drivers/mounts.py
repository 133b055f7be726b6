"""Where disks are to be mounted: what fstab(5) says, and whether they are."""

import os
import re
from pathlib import Path

FSTAB = Path("/etc/fstab")
MOUNTS = Path("/proc/self/mounts")

_MOST = 1 << 16
_FIELDS = 2
_OCTAL = re.compile(r"\\([0-7]{3})")


def not_mounted(disk: Path, fstab: Path | None = None) -> Path | None:
    """The mount point at or above a path where a disk is missing now; None where none is.

    What lies in the folder then is another disk's.

    Args:
        disk: A path on the disk.
        fstab: The table of what is to be mounted; this machine's unless given.
    """
    real = Path(os.path.realpath(disk))
    points = [point for point in _points(fstab or FSTAB) if real.is_relative_to(point)]
    nearest = max(points, key=lambda point: len(point.parts), default=None)
    if nearest is None or nearest.is_mount():
        return None
    return nearest if nearest not in _points(MOUNTS) else None  # a folder mounted elsewhere on its own disk


def _points(fstab: Path) -> list[Path]:
    """The mount points of the table; none where it cannot be read."""
    try:
        with fstab.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST)
    except OSError:
        return []
    rows = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    named = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), row[1]) for row in rows if len(row) >= _FIELDS)
    return [Path(os.path.realpath(name)) for name in named if name.startswith("/") and "\0" not in name]
