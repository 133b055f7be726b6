"""The audit log: who did what, when, and with what result; a chain in which nothing is changed unseen.

A line is written before a command starts and after it ended, and for each refusal. `docs/access.md` specifies
the file; `iotxmpp.serving.auditcheck` verifies it.
"""

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from iotxmpp.errors import StoreError
from iotxmpp.serving.auditchain import (
    NOTHING,
    Tail,
    as_json,
    end_of_last_line,
    line_with,
    quoted,
    rotated_files,
    tail_of,
)
from iotxmpp.serving.auditentry import Audit, AuditEntry, AuditResult, MemoryAudit, audit_path
from iotxmpp.serving.audithead import Head, HeadFile, begin_head, boot_id, fits, read_head, settled
from iotxmpp.xmltext import clean_text

__all__ = ["Audit", "AuditEntry", "AuditLog", "AuditResult", "MemoryAudit", "audit_path"]

MOST_BYTES = 8 * 2**20
"""Bytes after which a new file is begun, unless told otherwise."""

MOST_FILES = 8
"""Files that are kept, the current one included, unless told otherwise."""

SETTLES_AFTER = 0.5
"""Seconds after a line at which it is synced to disk."""

_LONGEST_TEXT = 1000
_LONGEST_NAME = 256
_LOGGER = logging.getLogger(__name__)


class AuditLog:
    """An audit on disk, in JSON Lines; any thread may write to it.

    A line is in the file when `append` returns, so it survives the process; a power cut can take the lines
    of the last half second. What is found removed, added or changed at the start, in the log or its head
    file, is a line `tampered`, which `verify` finds for ever; the log goes on.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float],
        most_bytes: int = MOST_BYTES,
        most_files: int = MOST_FILES,
    ) -> None:
        """Opens it, or makes a new one.

        Args:
            path: The current file; older ones and the head file stand beside it.
            now: The clock, in seconds since 1970, for the log's own notes.
            most_bytes: Bytes after which a new file is begun.
            most_files: Files that are kept, the current one included.

        Raises:
            StoreError: It cannot be opened, or another process writes to it.
        """
        self._path = path
        self._now = now
        self._most_bytes = most_bytes
        self._most_files = max(most_files, 2)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            begin_head(path)
            self._file, self._size = _open(path)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self._begin()
        except OSError as error:
            os.close(self._file)
            raise _unusable(path, error) from error

    def append(self, entry: AuditEntry) -> int:
        """Writes it down, before it returns.

        Returns:
            How many bytes the line takes.

        Raises:
            StoreError: It cannot be written, because the disk is full for instance, or the log was closed.
        """
        with self._lock:
            if self._closed:
                raise StoreError(f"audit log {self._path}: it is closed")
            try:
                size = self._write(entry)
            except OSError as error:
                raise _unusable(self._path, error) from error
            if self._timer is None:
                self._timer = threading.Timer(SETTLES_AFTER, self._settle_later)
                self._timer.daemon = True
                self._timer.start()
            return size

    def close(self) -> None:
        """Syncs and closes it; calling it twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            timer = self._timer
        if timer is not None:
            timer.cancel()
            timer.join()
        try:
            self._settle()
            self._heads.write(replace(self._heads.head, boot=""))
            self._heads.sync()
        except OSError as error:
            _LOGGER.warning("audit log %s: %s", self._path, error)
        self._heads.close()
        os.close(self._file)

    def _begin(self) -> None:
        """Goes on where the files end, or where the head file says, and writes down what does not fit."""
        cut = self._cut_torn_line()
        head = read_head(self._path)
        tail = tail_of(self._path) or Tail()
        said = head or Head(n=tail.n, hash=tail.hash or NOTHING)
        fault = ""
        if head is None:
            fault = "the head file was missing or damaged; lines may be missing before this one"
            tail = Tail(n=said.n, hash=said.hash)
        elif not fits(self._path, head, tail):
            fault = "lines before this one were removed, added or changed while the log was closed"
            tail = Tail(n=max(head.n, tail.n), hash=head.hash)
        self._tail = tail
        tampered = said.tampered or (tail.n + 1 if fault else 0)
        now = replace(said, n=tail.n, hash=tail.hash, next="", boot=boot_id(), tampered=tampered)
        self._heads = HeadFile(self._path, now)
        try:
            self._note_faults(said, fault, cut)
            self._settle()
        except OSError:
            self._heads.close()
            raise

    def _note_faults(self, head: Head, fault: str, cut: int) -> None:
        if fault:
            _LOGGER.error("audit log %s was tampered with: %s", self._path, fault)
            self._write(AuditEntry(time=self._now(), result="tampered", text=fault))
        elif head.lost_power():
            self._note(
                "the machine stopped while the log was open;"
                f" lines of its last half second may be missing, those after {head.synced}"
            )
        elif head.next and self._tail.n == head.n and not cut:
            self._note(f"line {head.n + 1}, {head.next}, was not written when the process ended")
        if cut:
            self._note(f"a line of {cut} bytes was not finished when the process ended; it was removed")

    def _note(self, text: str) -> None:
        self._write(AuditEntry(time=self._now(), result="note", text=text))

    def _write(self, entry: AuditEntry) -> int:
        line, digest = line_with(self._tail.n + 1, self._tail.hash, _fields(entry))
        if self._size and self._size + len(line) > self._most_bytes:
            self._rotate()
        self._tell(next=digest)  # before the line: a line that the head file does not know is forged
        try:
            self._write_whole(line)
        except OSError:
            with contextlib.suppress(OSError):
                self._tell()
            raise
        self._size += len(line)
        self._tail = Tail(n=self._tail.n + 1, hash=digest)
        self._tell()
        return len(line)

    def _tell(self, *, next: str = "") -> None:  # noqa: A002  # the file's word
        """Says in the head file where the log ends."""
        self._heads.write_end(self._tail.n, self._tail.hash, next)

    def _write_whole(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            while written < len(line):  # a full disk takes a part first
                written += os.write(self._file, line[written:])
        except OSError:
            with contextlib.suppress(OSError):  # else the next start removes the part
                os.ftruncate(self._file, self._size)
            raise

    def _cut_torn_line(self) -> int:
        """Removes what stands after the last line's end; how many bytes that was."""
        end = end_of_last_line(self._path)
        cut = self._size - end
        if cut:
            os.ftruncate(self._file, end)
            self._size = end
        return cut

    def _rotate(self) -> None:
        """Begins a new file; the old one is named by its last line's number."""
        self._settle()
        self._path.rename(self._path.with_name(f"{self._path.name}.{self._tail.n}"))
        old = self._file
        try:
            self._file, self._size = _open(self._path)
        except OSError:
            self._path.with_name(f"{self._path.name}.{self._tail.n}").rename(self._path)
            raise
        os.close(old)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        files = rotated_files(self._path)
        for file in files[: max(len(files) - self._most_files + 1, 0)]:
            last = tail_of(file)
            if last is not None:  # the head file says first what is to go
                self._heads.write(replace(self._heads.head, first=last.n + 1, before=last.hash or NOTHING))
                self._heads.sync()
            file.unlink()

    def _settle(self) -> None:
        os.fsync(self._file)
        self._heads.write(settled(self._heads.head, self._tail))
        self._heads.sync()

    def _settle_later(self) -> None:
        """As `_settle`, in a thread of its own: who appends does not wait for the disk."""
        with self._lock:
            self._timer = None
            tail, handles = self._tail, [os.dup(self._file), self._heads.duplicate()]
        try:
            os.fsync(handles[0])
            with self._lock:
                if not self._closed and self._heads.head.synced < tail.n:
                    self._heads.write(settled(self._heads.head, tail))
            os.fsync(handles[1])
        except OSError as error:
            _LOGGER.warning("audit log %s: %s", self._path, error)
        finally:
            for handle in handles:
                os.close(handle)


def _fields(entry: AuditEntry) -> str:
    # Written out: what runs twice for each call is not to look its fields up.
    return (
        f',"time":{as_json(entry.time)},"who":{_name(entry.who)},"by":{_name(entry.by)}'
        f',"device":{_name(entry.device)},"command":{_name(entry.command)}'
        f',"id":{_text(entry.id, _LONGEST_NAME)},"door":{_name(entry.door)}'
        f',"arguments":{_text(entry.arguments, _LONGEST_TEXT)}'
        f',"result":{_name(entry.result)},"text":{_text(entry.text, _LONGEST_TEXT)}'
    )


def _name(text: str) -> str:
    """A name as JSON; the same few stand in all lines."""
    return _known_name(text) if len(text) <= _LONGEST_NAME else _text(text, _LONGEST_NAME)


@lru_cache(maxsize=64)
def _known_name(text: str) -> str:
    return _text(text, _LONGEST_NAME)


def _text(text: str, longest: int) -> str:
    return quoted(clean_text(text, longest)) if text else '""'


def _open(path: Path) -> tuple[int, int]:
    """The file to append to, which nobody else appends to, and its size."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle, os.fstat(handle).st_size
    except OSError:
        os.close(handle)
        raise


def _unusable(path: Path, error: OSError) -> StoreError:
    if isinstance(error, BlockingIOError):
        return StoreError(f"audit log {path}: another process writes to it; give each its own file")
    return StoreError(
        f"audit log {path}: {error.strerror or error}; no command is obeyed until it can be written"
    )
