"""How far the running epoch has come, noted beside the outbox after each commit: tells if that goes back."""

import logging
import os
import zlib
from pathlib import Path
from typing import NamedTuple

_LOGGER = logging.getLogger(__name__)
_SIZE = 80


class Marked(NamedTuple):
    """How far a run had come.

    Attributes:
        epoch: The name of its epoch.
        committed: The last number that was on disk; 0 for none.
        attempted: The last number that was given to the link; 0 for none.
    """

    epoch: str
    committed: int
    attempted: int


class Mark:
    """A small file beside the outbox, `<outbox>.mark`, of one line with a checksum.

    It is written in place and not synchronised: exact after a kill, perhaps older after a power cut, never
    ahead of the outbox. A disk that fails is only logged.
    """

    def __init__(self, outbox: Path) -> None:
        self.path = outbox.with_name(f"{outbox.name}.mark")
        self._handle: int | None = None
        self._now = Marked("", 0, 0)
        self._failed = False

    def read(self) -> Marked | None:
        """What it says; None where there is none, or it cannot be read."""
        try:
            with self.path.open("rb") as file:
                epoch, committed, attempted, crc = file.read(_SIZE).decode("ascii").split()
            marked = Marked(epoch, int(committed), int(attempted))
            return marked if int(crc) == _crc(marked) else None
        except (OSError, ValueError):
            return None

    def begin(self, epoch: str) -> bool:
        """Begins to mark an epoch, or goes on with it; whether that is on the disk for certain."""
        before = self.read()
        self._now = before if before is not None and before.epoch == epoch else Marked(epoch, 0, 0)
        try:
            if self._handle is None:
                self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            written = self._write()
            os.fsync(self._handle)
        except OSError as error:
            self._log(error)
            return False
        return written

    def commit(self, seq: int) -> None:
        """All numbers up to this one are on disk."""
        self._now = self._now._replace(committed=max(seq, self._now.committed))
        self._write()

    def attempt(self, seq: int) -> None:
        """All numbers up to this one may have been published."""
        self._now = self._now._replace(attempted=max(seq, self._now.attempted))
        self._write()

    def close(self) -> None:
        """Closes it."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def _write(self) -> bool:
        if self._handle is None:
            return False
        line = f"{self._now.epoch} {self._now.committed} {self._now.attempted} {_crc(self._now)}"
        try:
            os.pwrite(self._handle, line.ljust(_SIZE - 1).encode("ascii", "replace") + b"\n", 0)
        except OSError as error:
            self._log(error)
            return False
        return True

    def _log(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            _LOGGER.warning("outbox mark %s: %s", self.path, error)


def _crc(marked: Marked) -> int:
    return zlib.crc32(repr(tuple(marked)).encode("ascii", "backslashreplace"))
