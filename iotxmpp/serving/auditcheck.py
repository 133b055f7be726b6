"""Reads an audit log, and verifies that nothing in it was changed, removed or put in between."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from iotxmpp.errors import StoreError
from iotxmpp.serving.auditchain import LONGEST_LINE, NOTHING, Tail, read_line, rotated_files
from iotxmpp.serving.audithead import Head, read_head

_TRIES = 5
_PAUSE = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a check of an audit log found.

    Attributes:
        ok: Nothing was changed.
        lines: The lines that were read.
        first_fault: Of the first fault, where and what it is; empty if there is none.
        first: The number of the oldest line that is kept; those before it went with their files. 0 for none.
        since: Its time, in seconds since 1970.
        last: The number of the last line that was read before a fault.
        hash: That line's hash. Whoever keeps both elsewhere can prove later that the log still goes that far.
    """

    ok: bool
    lines: int
    first_fault: str = ""
    first: int = 0
    since: float = 0.0
    last: int = 0
    hash: str = ""


class _FaultError(Exception):
    """The first fault."""


def verify(path: Path, *, expect: tuple[int, str] | None = None) -> Verdict:
    """Checks a log from its oldest kept line to its end; an agent may be writing to it.

    A last line without its end is no fault: it is being written, or a crash cut it off. A fault is looked
    for again before it is told, since who writes may have changed the files under the eyes of the check.

    Args:
        path: The current file.
        expect: Number and hash of a line that must be in it, as a verdict told them before.

    Raises:
        StoreError: There is no such log, or it cannot be read.
    """
    verdict = Verdict(ok=False, lines=0)
    for _ in range(_TRIES):
        told = verdict.first_fault
        verdict = _check(path, expect)
        if verdict.ok or verdict.first_fault == told:
            break
        time.sleep(_PAUSE)
    return verdict


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a log, the oldest first, each with its number `n`; what is no line is passed over.

    Raises:
        StoreError: There is no such log, or it cannot be read.
    """
    for line, _ in _lines(path):
        read = read_line(line) if line.endswith(b"\n") else None
        if read is not None:
            yield {"n": read[0].n, **read[1]}


def _check(path: Path, expect: tuple[int, str] | None) -> Verdict:
    check = _Check(_head(path), expect)
    text = ""
    try:
        for line, where in _lines(path):
            check.take(line, where)
        check.end(_head(path))
    except _FaultError as fault:
        text = str(fault)
    return Verdict(
        ok=not text,
        lines=check.lines,
        first_fault=text,
        first=check.first,
        since=check.since,
        last=check.last.n,
        hash=check.last.hash if check.last.n else "",
    )


class _Check:
    """Follows the chain between what the head file says before the lines are read, and after."""

    def __init__(self, head: Head | None, expect: tuple[int, str] | None) -> None:
        self.lines = 0
        self.first = 0
        self.since = 0.0
        self.last = Tail()
        self._head = head
        self._expect = expect
        self._newest: list[tuple[Tail, str]] = []

    def take(self, line: bytes, where: str) -> None:
        """Checks one line."""
        read = read_line(line) if line.endswith(b"\n") else None
        if read is None:
            raise _FaultError(f"{where}: the line was changed, or is none")
        now, fields = read
        if not self.lines:
            self._check_first(now, where)
            self.first, self.since = now.n, _time(fields)
        elif now.n != self.last.n + 1:
            raise _FaultError(f"{where}: line {now.n} stands after line {self.last.n}")
        elif now.before != self.last.hash:
            raise _FaultError(f"{where}: line {now.n} does not follow the line before it, which was changed")
        for n, digest in self._known(self._head):
            if now.n == n and now.hash != digest:
                raise _FaultError(f"{where}: line {n} is another one than it was")
        if fields.get("result") == "tampered":
            raise _FaultError(f"{where}: line {now.n} says: {fields.get('text')}")
        if self._head is not None and now.n >= self._head.n:
            self._newest.append((now, where))
        self.lines += 1
        self.last = now

    def _check_first(self, now: Tail, where: str) -> None:
        first, before = (self._head.first, self._head.before) if self._head else (1, NOTHING)
        if now.n > first:
            raise _FaultError(
                f"{where}: the log begins with line {now.n}; lines from {first} on were removed"
            )
        if now.n == first and now.before != before:
            raise _FaultError(f"{where}: line {now.n} does not follow the line before it, which was changed")

    def _known(self, head: Head | None) -> Iterator[tuple[int, str]]:
        if head is not None:
            yield head.n, head.hash
            yield head.synced, head.synced_hash
        if self._expect is not None:
            yield self._expect

    def end(self, after: Head | None) -> None:
        """Checks the end of the log against what the head file says by now."""
        if self._head is None or after is None:
            raise _FaultError(
                "the head file is missing or damaged: it cannot be told whether the end was removed"
            )
        there = self._head.synced if self._head.lost_power() else self._head.n
        for n in (there, self._expect[0] if self._expect else 0):
            if n > self.last.n:
                raise _FaultError(f"the log ends with line {self.last.n}; lines up to {n} were removed")
        for line, where in self._newest:
            self._check_newest(line, where, after)
        if after.tampered:
            raise _FaultError(f"line {after.tampered} said that the log was tampered with")

    def _check_newest(self, line: Tail, where: str, after: Head) -> None:
        for n, digest in self._known(after):
            if line.n == n and line.hash != digest:
                raise _FaultError(f"{where}: line {n} is another one than it was")
        if line.n > after.n and not after.lost_power() and (line.n, line.hash) != (after.n + 1, after.next):
            raise _FaultError(f"{where}: line {line.n} was added; the log ended with line {after.n}")


def _time(fields: Mapping[str, object]) -> float:
    time_ = fields.get("time")
    return float(time_) if isinstance(time_, int | float) else 0.0


def _head(path: Path) -> Head | None:
    try:
        return read_head(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _lines(path: Path) -> Iterator[tuple[bytes, str]]:
    """Each line of all files as they are now, with the place where it stands, for people."""
    if not path.exists() and not rotated_files(path):
        raise StoreError(f"audit log {path} is not there; an agent makes it when it runs")
    try:
        with ExitStack() as stack:
            current = _opened(path, stack)
            # What comes from here on is not read: a line could be read before all of it is written.
            state = None if current is None else os.fstat(current.fileno())
            for file in rotated_files(path):
                with ExitStack() as inner:
                    older = _opened(file, inner)
                    if older is None:
                        continue
                    stat = os.fstat(older.fileno())
                    if state is not None and stat.st_ino == state.st_ino:  # just now a new file was begun
                        break
                    yield from _placed(older, file, stat.st_size)
            if current is not None and state is not None:
                yield from _whole(_placed(current, path, state.st_size))
    except OSError as error:
        raise _unreadable(path, error) from error


def _opened(file: Path, stack: ExitStack) -> BinaryIO | None:
    """The file, open; None where it is gone: a new one is begun, or it was the oldest, or it was removed."""
    try:
        return stack.enter_context(file.open("rb"))
    except FileNotFoundError:
        return None


def _placed(opened: BinaryIO, file: Path, size: int) -> Iterator[tuple[bytes, str]]:
    """The lines of one file; what is longer than a line is in pieces without an end."""
    number = 0
    while size > 0 and (line := opened.readline(min(size, LONGEST_LINE))):
        number += 1
        size -= len(line)
        yield line, f"{file.name}, line {number}"


def _whole(pieces: Iterator[tuple[bytes, str]]) -> Iterator[tuple[bytes, str]]:
    """All but what stands after the last line's end; only in the newest file a crash leaves that."""
    open_: list[tuple[bytes, str]] = []
    for piece in pieces:
        if piece[0].endswith(b"\n"):
            yield from open_
            yield piece
            open_ = []
        elif not open_:  # one tells that something is there
            open_ = [piece]


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"audit log {path}: {error.strerror or error}")
