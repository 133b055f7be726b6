"""Files that are made under another name and put in an outbox's place as a whole: a kill does no harm.

`<outbox>.making` is not finished: it is thrown away. `<outbox>.instead-<time>` is, and what stands in its
place becomes `<outbox>.corrupt-<time>`; where a kill interrupts that, the next start goes on with it.

All of this is for who holds the outbox's lock.
"""

import glob
import logging
import os
import time
from pathlib import Path

from iotxmpp import crashpoints
from iotxmpp.agent.durable import move, sync_directory

SIDES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file; it would apply that of an old file to a new one."""

_LOGGER = logging.getLogger(__name__)
_INSTEAD = ".instead-"


def beside(path: Path, suffix: str) -> Path:
    """The file of that suffix beside an outbox."""
    return path.with_name(path.name + suffix)


def is_there(path: Path) -> bool:
    """Whether a file has any content."""
    return path.exists() and path.stat().st_size > 0


def unfinished(path: Path) -> Path:
    """Where a new file for an outbox is made."""
    return beside(path, ".making")


def discard(path: Path) -> None:
    """Throws the unfinished file of an outbox away.

    Raises:
        OSError: It cannot be removed.
    """
    for suffix in ("", *SIDES):
        beside(unfinished(path), suffix).unlink(missing_ok=True)


def put(path: Path) -> None:
    """Puts the new file, which is finished, where there is none, or an empty one.

    Raises:
        OSError: It cannot be moved.
    """
    crashpoints.at("outbox.made")
    for suffix in SIDES:
        beside(path, suffix).unlink(missing_ok=True)
    sync_directory(path.parent)
    move(unfinished(path), path)
    crashpoints.at("outbox.placed")


def replace(path: Path) -> Path | None:
    """Puts the new file, which is finished, in the place of a damaged one.

    Returns:
        Where the damaged file is now; None where it is gone by itself.

    Raises:
        OSError: A file cannot be moved; the next start goes on with it.
    """
    ready = beside(path, f"{_INSTEAD}{_free_stamp(path)}")
    move(unfinished(path), ready)
    crashpoints.at("outbox.ready")
    return _swap(path, ready)


def go_on(path: Path) -> None:
    """Goes on with what a kill interrupted.

    Raises:
        OSError: A file cannot be moved or removed.
    """
    discard(path)
    for ready in path.parent.glob(f"{glob.escape(path.name)}{_INSTEAD}*"):
        aside = _swap(path, ready)
        _LOGGER.warning(
            "outbox %s: its file was damaged and is now %s; what was lost with it is noted",
            path,
            "gone" if aside is None else aside.name,
        )


def _swap(path: Path, ready: Path) -> Path | None:
    aside = beside(path, f".corrupt-{ready.name.removeprefix(path.name + _INSTEAD)}")
    for suffix in (*SIDES, ""):
        if beside(path, suffix).exists():
            beside(path, suffix).rename(beside(aside, suffix))
            crashpoints.at("outbox.aside")
    sync_directory(path.parent)
    move(ready, path)
    crashpoints.at("outbox.replaced")
    return aside if aside.exists() else None


def _free_stamp(path: Path) -> str:
    """Names a moment by which no damaged file is named so far."""
    now = f"{time.time():.0f}"
    stamp, count = now, 1
    while any(os.path.lexists(beside(path, f".corrupt-{stamp}{suffix}")) for suffix in ("", *SIDES)):
        stamp, count = f"{now}-{count}", count + 1
    return stamp
