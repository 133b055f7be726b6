"""Opens an outbox whose file may be damaged or gone: then with a new one, in which the loss is noted.

All of this blocks, and belongs into the outbox's thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iotxmpp import crashpoints
from iotxmpp.agent.outbox.checks import DamagedRowError
from iotxmpp.agent.outbox.expected import Expected, is_another, with_ids_of
from iotxmpp.agent.outbox.mark import Mark
from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.outbox.replacing import is_there, replace
from iotxmpp.agent.outbox.rows import Epoch
from iotxmpp.agent.outbox.salvage import Salvage
from iotxmpp.agent.outbox.schema import FAULTS, FileLock, StrangeFileError, is_unusable, new_file
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.outbox.tables import SqlOutbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What became of a file that was damaged, or gone.

    Attributes:
        path: The outbox.
        cause: What was wrong with its file; None where it was gone or empty.
        lost: The runs of places that are noted as lost.
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
        if count and not self.certain:
            loss = f"{count} readings or more may be lost"
        elif count:
            loss = f"up to {count} readings may be lost"
        elif self.certain:
            loss = "no reading is lost"
        else:
            loss = "nobody can tell how many readings are lost"
        if self.cause is None:
            return f"{loss}: the outbox's file was gone or empty"
        if self.aside is None:
            return f"{loss}: {self.cause}"
        return f"{loss}: the outbox's file was damaged and is now {self.aside.name} ({self.cause})"

    def is_settled(self, epochs: Mapping[int, Epoch]) -> bool:
        """Whether the collector acknowledged all that is known to be lost, by the epochs as they are now."""
        return self.certain and all(
            epochs[each.id].first > each.last for each in self.lost if each.id in epochs
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
    except FAULTS as error:
        if not is_unusable(error, path):
            raise
        return start_anew(path, limits, held, str(error))
    try:
        return outbox, _compare(outbox, path, held)
    except DamagedRowError as error:
        outbox.close()
        return start_anew(path, limits, held, str(error))
    except BaseException:
        outbox.close()
        raise


def start_anew(
    path: Path, limits: Limits, held: Sequence[Epoch], cause: str
) -> tuple[DiskOutbox, Damage | None]:
    """Begins a new file in the place of a damaged one, which is moved away; what that held is noted as lost.

    The new one has all that is whole before the old one is touched, so a kill costs nothing.

    Args:
        path: The outbox.
        limits: The new file's bounds.
        held: What this run knows to be in the file; of other epochs, the note beside it tells.
        cause: What is wrong with the file.

    Returns:
        The new outbox, and what is known of the old one.

    Raises:
        sqlite3.Error: The new file cannot be made.
        OSError: It cannot, the old one cannot be moved, or (`BlockingIOError`) another agent uses it.
    """
    file, lock = path.resolve(), FileLock(path)
    try:
        expected = Expected.of(held, EpochNotes(path).read(), Mark(path).read())
        with (
            new_file(file) as connection,
            Salvage(file if is_there(file) else None, expected.epochs) as found,
        ):
            lost = SqlOutbox(connection, limits).repair([*expected.epochs, *found.unexpected], found)
            crashpoints.at("outbox.salvaged")
        aside = replace(file)
    finally:
        lock.release()
    is_known = expected.is_certain
    damage = Damage(path=path, cause=cause, lost=tuple(lost), certain=is_known, aside=aside)
    return DiskOutbox(path, limits), damage


def _compare(outbox: DiskOutbox, path: Path, held: Sequence[Epoch]) -> Damage | None:
    """Compares a file with what is known of it; what it should have, and has not, is noted in it as lost.

    A file that an agent used has an epoch even if no reading waits. So one that has none is new, and also one
    that was made in place of another by an agent that was killed before it had noted the loss.

    Returns:
        What is wrong; None for nothing.

    Raises:
        DamagedRowError: It cannot be the file that is known of.
    """
    notes, mark = EpochNotes(path), Mark(path).read()
    note = notes.read()
    known = outbox.known()
    if is_another(known, held):
        raise DamagedRowError("it is not the file that this run has used so far")
    expected = Expected.of(held, note, mark)
    missing = expected.missing_in(known)
    lost = outbox.repair(with_ids_of(known, missing))
    crashpoints.at("outbox.told")
    if mark is not None:
        outbox.set_attempted({mark.epoch: mark.attempted})
    if known:
        cause = "the outbox's file lacks readings that were in it"
        return Damage(path=path, cause=cause, lost=tuple(lost), certain=True) if lost else None
    if lost or (note is None and notes.path.exists()):
        return Damage(path=path, cause=None, lost=tuple(lost), certain=expected.is_certain)
    return None
