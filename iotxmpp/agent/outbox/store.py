"""The outbox in a file, and the one in memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from iotxmpp.agent.outbox.mark import Mark
from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import DeadLetter, Epoch, Loss, Row, epoch_of, seq_of
from iotxmpp.agent.outbox.schema import FileLock, check_kind, open_file, open_memory
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.tables import SqlOutbox


class MemoryOutbox(SqlOutbox):
    """An outbox in memory: gone with its process."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(open_memory(), limits or Limits(bytes=4 * 2**20))


class DiskOutbox(SqlOutbox):
    """An outbox in a file that one agent at a time may use.

    What a call has written is on the disk when it returns: WAL, synchronous FULL.

    Raises:
        StoreError: The file is of another version, another program's, or no regular file; nothing was
            changed.
        sqlite3.Error: It cannot be opened, or is damaged.
        OSError: Its directory cannot be made, or (`BlockingIOError`) another agent uses it.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        check_kind(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._notes, self._mark = EpochNotes(path), Mark(path)
        self._is_noted = False
        self._running = 0
        self._lock = FileLock(path)
        try:
            super().__init__(open_file(path), limits or Limits())
        except BaseException:
            self._lock.release()
            raise

    def start(self, epoch: Epoch) -> None:
        """From now on marks how far this epoch, the running one, has come.

        Epochs that nothing beside the file names any more are forgotten.
        """
        self._running = self._current = epoch.id
        if self._mark.begin(epoch.name) and self._is_noted:
            self.forget()

    def note(self, epochs: Iterable[Epoch], running: str | None) -> None:
        """Notes epochs beside the file; it does not raise."""
        self._is_noted = self._notes.write(epochs, running)

    def attempt(self, seq: int) -> None:
        """Marks that the running epoch was given to the link up to that number; it does not raise."""
        self._mark.attempt(seq)

    def write(
        self,
        rows: Sequence[Row] = (),
        *,
        trims: Iterable[Span] = (),
        revived: Iterable[int] = (),
        now: float | None = None,
    ) -> None:
        """Keeps readings, and marks how far they came."""
        super().write(rows, trims=trims, revived=revived, now=now)
        self._mark_last(rows)

    def absorb(self, rows: Sequence[Row], losses: Sequence[Loss], letters: Sequence[DeadLetter]) -> None:
        """Keeps what was kept elsewhere, and marks how far it came."""
        super().absorb(rows, losses, letters)
        self._mark_last(rows)

    def _mark_last(self, rows: Sequence[Row]) -> None:
        if rows and epoch_of(rows[-1].place) == self._running:
            self._mark.commit(seq_of(rows[-1].place))

    def close(self) -> None:
        """Closes the file and lets others use it."""
        self._mark.close()
        try:
            super().close()
        finally:
            self._lock.release()
