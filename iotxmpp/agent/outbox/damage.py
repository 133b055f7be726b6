"""Opens an outbox whose file may be damaged or gone: then with a new one, in which the loss is noted.

All of this blocks, and belongs into the outbox's thread.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.outbox.rows import Epoch
from iotxmpp.agent.outbox.schema import StrangeFileError, is_unusable
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What became of a file that was damaged, or gone.

    Attributes:
        path: The outbox.
        cause: What was wrong with its file; None where it was gone or empty.
        lost: What is known to have been in it: each epoch with the places that are noted as lost.
        certain: Whether nothing else was in it: the note beside it could be read.
        aside: Where the damaged file is now; None where there was none.
    """

    path: Path
    cause: str | None
    lost: tuple[Epoch, ...]
    certain: bool
    aside: Path | None = None

    @property
    def text(self) -> str:
        """The problem in a sentence; the first of it counts, for presence cuts long ones."""
        count = sum(each.last - each.first + 1 for each in self.lost if each.is_held)
        if count:
            loss = f"up to {count} readings may be lost"
        elif self.certain:
            loss = "no reading is lost"
        else:
            loss = "nobody can tell how many readings are lost"
        if self.cause is None:
            return f"{loss}: the outbox's file was gone or empty"
        now = f" and is now {self.aside.name}" if self.aside is not None else ""
        return f"{loss}: the outbox's file was damaged{now} ({self.cause})"

    def is_settled(self, epochs: Mapping[int, Epoch]) -> bool:
        """Whether the collector acknowledged all that is known to be lost, by the epochs as they are now."""
        return self.certain and all(
            epochs[each.id].first > each.last for each in self.lost if each.is_held and each.id in epochs
        )


def open_outbox(path: Path, limits: Limits, held: Sequence[Epoch]) -> tuple[DiskOutbox, Damage | None]:
    """Opens an outbox; one that is damaged, gone or emptied is begun anew, with its loss noted in it.

    Args:
        path: The outbox.
        limits: Its bounds.
        held: What this run knows to be in the file; of other epochs, the note beside it tells.

    Returns:
        The open outbox, and what was wrong.

    Raises:
        StoreError: The file is another program's, or of another version; nothing was changed.
        sqlite3.Error: It cannot be opened.
        OSError: It cannot, or another agent uses it.
    """
    try:
        outbox = DiskOutbox(path, limits)
    except StrangeFileError as error:
        # The note is this device's own, so the file was, too: its header is what changed.
        if error.is_newer or EpochNotes(path).read() is None:
            raise
        return start_anew(path, limits, held, f"header: {error.what}")
    except sqlite3.Error as error:
        if not is_unusable(error, path):
            raise
        return start_anew(path, limits, held, str(error))
    return outbox, _declare(outbox, Damage(path=path, cause=None, lost=(), certain=True), held)


def start_anew(
    path: Path, limits: Limits, held: Sequence[Epoch], cause: str
) -> tuple[DiskOutbox, Damage | None]:
    """Moves a damaged file away and begins a new one, in which what the old one held is noted as lost.

    Args:
        path: The outbox.
        limits: The new file's bounds.
        held: What this run knows to be in the file; of other epochs, the note beside it tells.
        cause: What is wrong with the file.

    Returns:
        The new outbox, and what is known of the old one.

    Raises:
        sqlite3.Error: The new file cannot be made.
        OSError: It cannot, or the old one cannot be moved.
    """
    damage = Damage(path=path, cause=cause, lost=(), certain=True, aside=_set_aside(path))
    outbox = DiskOutbox(path, limits)
    return outbox, _declare(outbox, damage, held)


def except_from(epoch: Epoch, place: int | None) -> Epoch:
    """The epoch without what begins at that place: it is held elsewhere."""
    return epoch if place is None else replace(epoch, last=min(epoch.last, place - 1))


def _declare(outbox: DiskOutbox, damage: Damage, held: Sequence[Epoch]) -> Damage | None:
    """Notes in a new file what the old one held; None if it is no new one, or none was before it.

    A file that an agent used has an epoch even if no reading waits. So one that has none is new, and also one
    that was made in place of another by an agent that was killed before it had noted the loss.
    """
    try:
        if outbox.epochs():
            return None
        notes = EpochNotes(damage.path)
        noted = notes.read()
        damage = replace(
            damage,
            lost=tuple(_all_lost(held, noted or ())),
            certain=noted is not None,
        )
        outbox.forfeit(damage.lost)
    except BaseException:
        outbox.close()
        raise
    matters = damage.aside is not None or any(each.is_held for each in damage.lost)
    unreadable = noted is None and notes.path.exists()
    return damage if matters or unreadable else None


def _all_lost(held: Sequence[Epoch], noted: Sequence[Epoch]) -> list[Epoch]:
    lost, names, ids = list(held), {each.name for each in held}, {each.id for each in held}
    for each in noted:
        if each.name not in names and each.id not in ids:
            lost.append(each)
            names.add(each.name)
            ids.add(each.id)
    return lost


def _set_aside(path: Path) -> Path | None:
    """Moves the file and what belongs to it; where to, or None if it is gone by itself."""
    stem = f"{path.name}.corrupt-{time.time():.0f}"
    aside, count = path.with_name(stem), 1
    while aside.exists():
        aside, count = path.with_name(f"{stem}-{count}"), count + 1
    for suffix in ("-wal", "-shm", ""):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(aside.with_name(aside.name + suffix))
    return aside if aside.exists() else None
