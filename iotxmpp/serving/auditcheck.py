"""Reads an audit log, and verifies that nothing in it was changed, removed or put in between."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from iotxmpp.errors import StoreError
from iotxmpp.serving.auditchain import Head, Tail, read_head, read_line, rotated_files

_TRIES = 5
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a check of an audit log found.

    Attributes:
        ok: Nothing was changed.
        lines: The lines that were read.
        first_fault: Of the first fault, where and what it is; empty if there is none.
        last: The number of the last line that was read before a fault.
        hash: That line's hash. Whoever keeps both elsewhere can prove later that the log still goes that far.
    """

    ok: bool
    lines: int
    first_fault: str = ""
    last: int = 0
    hash: str = ""


class _FaultError(Exception):
    """The first fault."""


def verify(path: Path, *, expect: tuple[int, str] | None = None) -> Verdict:
    """Checks a log from its oldest kept line to its end; an agent may be writing to it.

    A last line without its end is no fault: it is being written, or a crash cut it off.

    Args:
        path: The current file.
        expect: Number and hash of a line that must be in it, as a verdict told them before.

    Raises:
        StoreError: There is no such log, or it cannot be read.
    """
    verdict = Verdict(ok=False, lines=0)
    for _ in range(_TRIES):  # a writer may begin a new file, and drop the oldest, meanwhile
        before = _head(path)
        verdict = _Check(path, before, expect).run()
        after = _head(path)
        if verdict.ok or before is None or after is None or before.first == after.first:
            break
    return verdict


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a log, the oldest first, each with its number `n`; what is no line is passed over.

    Raises:
        StoreError: There is no such log, or it cannot be read.
    """
    for line, _ in _lines(path):
        read = read_line(line)
        if read is not None:
            yield {"n": read[0].n, **read[1]}


class _Check:
    def __init__(self, path: Path, head: Head | None, expect: tuple[int, str] | None) -> None:
        self._path = path
        self._head = head
        self._expect = expect
        self._lines = 0
        self._last = Tail()

    def run(self) -> Verdict:
        try:
            for line, where in _lines(self._path):
                if line.endswith(b"\n"):
                    self._take(line, where)
            self._end()
        except _FaultError as fault:
            text = str(fault)
        else:
            text = ""
        return Verdict(
            ok=not text, lines=self._lines, first_fault=text, last=self._last.n, hash=self._last.hash
        )

    def _take(self, line: bytes, where: str) -> None:
        read = read_line(line)
        if read is None:
            raise _FaultError(f"{where}: the line was changed, or is none")
        now = read[0]
        if not self._lines:
            self._check_first(now, where)
        elif now.n != self._last.n + 1:
            raise _FaultError(f"{where}: line {now.n} stands after line {self._last.n}")
        elif now.before != self._last.hash:
            raise _FaultError(f"{where}: line {now.n} does not follow the line before it, which was changed")
        for n, digest in self._known():
            if now.n == n and now.hash != digest:
                raise _FaultError(f"{where}: line {n} is another one than it was")
        self._lines += 1
        self._last = now

    def _check_first(self, now: Tail, where: str) -> None:
        first, before = (self._head.first, self._head.before) if self._head else (1, Tail().hash)
        if now.n > first:
            raise _FaultError(
                f"{where}: the log begins with line {now.n}; lines from {first} on were removed"
            )
        if now.n == first and now.before != before:
            raise _FaultError(f"{where}: line {now.n} does not follow the line before it, which was changed")

    def _known(self) -> Iterator[tuple[int, str]]:
        if self._head is not None:
            yield self._head.n, self._head.hash
        if self._expect is not None:
            yield self._expect

    def _end(self) -> None:
        if self._head is None:
            raise _FaultError(
                "the head file is missing or damaged: it cannot be told whether the end was removed"
            )
        for n, _ in self._known():
            if n > self._last.n:
                raise _FaultError(f"the log ends with line {self._last.n}; lines up to {n} were removed")


def _head(path: Path) -> Head | None:
    try:
        return read_head(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _lines(path: Path) -> Iterator[tuple[bytes, str]]:
    """Each line of all files, with the place where it stands, for people."""
    if not path.exists() and not rotated_files(path):
        raise StoreError(f"audit log {path} is not there; an agent makes it when it runs")
    try:
        with ExitStack() as stack:
            current = _opened(path, stack)
            newest = None if current is None else os.fstat(current.fileno()).st_ino
            for file in rotated_files(path):
                with ExitStack() as inner:
                    older = _opened(file, inner)
                    if older is None:
                        continue
                    if os.fstat(older.fileno()).st_ino == newest:  # just now a new file was begun
                        break
                    yield from _placed(older, file)
            if current is not None:
                yield from _placed(current, path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _opened(file: Path, stack: ExitStack) -> BinaryIO | None:
    """The file, open; None where it is gone: a new one is begun, or it was the oldest, or it was removed."""
    try:
        return stack.enter_context(file.open("rb"))
    except FileNotFoundError:
        return None


def _placed(opened: BinaryIO, file: Path) -> Iterator[tuple[bytes, str]]:
    number = 0
    while line := opened.readline(_LONGEST_LINE):
        number += 1
        yield line, f"{file.name}, line {number}"


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"audit log {path}: {error.strerror or error}")
