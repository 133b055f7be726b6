"""The demo's folder: it holds passwords, so the next demo removes what a killed one left behind."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "iotxmpp-demo-"
_OWNER = "pid"
_START_TIME = 19
"""Where a process's start time stands after its name: field 22 of `/proc/<pid>/stat`."""


@contextmanager
def demo_folder() -> Iterator[Path]:
    """Gives a new folder, which other users may pass but not read, and removes it at the end."""
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        (folder / _OWNER).write_text(f"{os.getpid()} {_start_time(os.getpid())}", encoding="ascii")
        folder.chmod(0o711)  # the server may run as another user
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Removes our folders of demos whose process is gone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if _is_ours(folder) and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:  # removed meanwhile
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_abandoned(folder: Path) -> bool:
    """Whether its owner is known and gone; a folder that is only just made names none yet."""
    try:
        pid, started = map(int, (folder / _OWNER).read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return False
    return _start_time(pid) != started


def _start_time(pid: int) -> int | None:
    """When the process started, in the kernel's ticks; None if there is none."""
    with suppress(OSError):
        about = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(about.rpartition(")")[2].split()[_START_TIME])
    return None
