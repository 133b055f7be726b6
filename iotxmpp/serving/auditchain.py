"""The form of an audit log: its lines, each with the hash of the one before, its files, and its head file."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTHING = "0" * 64
"""The hash that stands for the line before the first."""

_HASH_AT = b',"hash":"'
_AFTER_BODY = len(_HASH_AT) + 64 + len(b'"}')
_LONGEST_LINE = 64 * 1024
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_MOST_LINES = 2**63


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """A line of the chain, or the place before its first line.

    Attributes:
        n: Its number, from 1.
        hash: Its hash.
        before: The hash of the line before it.
    """

    n: int = 0
    hash: str = NOTHING
    before: str = NOTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the head file says, so that lines cannot be cut off at either end unseen.

    Attributes:
        n: The number of a line that is there; those after it were written since.
        hash: That line's hash.
        first: The number of the first line that is kept.
        before: The hash of the line before that.
    """

    n: int
    hash: str
    first: int = 1
    before: str = NOTHING


def line_of(n: int, before: str, fields: Mapping[str, object]) -> tuple[bytes, str]:
    """A line with its end, and its hash: SHA-256 of the line as it would be without `hash`."""
    body = _ENCODER.encode({"n": n, "prev": before, **fields}).encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    return b'%s%s%s"}\n' % (body[:-1], _HASH_AT, digest.encode("ascii")), digest


def read_line(line: bytes) -> tuple[Tail, dict[str, Any]] | None:
    """A line's place in the chain and its fields; None where it is none, or was changed."""
    text = line.removesuffix(b"\n")
    body = text[:-_AFTER_BODY] + b"}"
    digest = hashlib.sha256(body).hexdigest()
    if text[-_AFTER_BODY:] != b'%s%s"}' % (_HASH_AT, digest.encode("ascii")):
        return None
    try:
        fields = json.loads(body)
        n, before = fields.pop("n"), fields.pop("prev")
    except (ValueError, RecursionError, AttributeError, KeyError):
        return None
    if not isinstance(n, int) or not 0 <= n < _MOST_LINES or not isinstance(before, str):
        return None
    return Tail(n=n, hash=digest, before=before), fields


def lines_of(file: Path) -> Iterator[bytes]:
    """The lines of one file with their ends; one without an end was never finished.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        while line := opened.readline(_LONGEST_LINE):
            yield line


def end_of_last_line(file: Path) -> int:
    """How many bytes of a file are whole lines.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        end = opened.seek(0, os.SEEK_END)
        while end:
            start = max(end - _LONGEST_LINE, 0)
            opened.seek(start)
            found = opened.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def rotated_files(path: Path) -> list[Path]:
    """The older files of a log, the oldest first; each is named by the number of its last line."""
    start = f"{path.name}."
    found = {
        int(each.name.removeprefix(start)): each
        for each in path.parent.glob(f"{start}*")
        if each.name.removeprefix(start).isdecimal()
    }
    return [found[number] for number in sorted(found)]


def tail_of(path: Path) -> Tail | None:
    """The last line that is whole and unchanged, in that file or in the newest one before it; None for none.

    Raises:
        OSError: A file cannot be read.
    """
    for file in (path, *reversed(rotated_files(path))):
        last = None
        for line in lines_of(file):
            last = line
        if last is not None:
            read = read_line(last)
            return read[0] if read else Tail()
    return None


def follows(path: Path, head: Head, tail: Tail) -> bool:
    """Whether the files go on from what the head file says.

    Raises:
        OSError: The current file cannot be read.
    """
    if tail.n == head.n:
        return tail.hash == head.hash
    start = b'{"n":%d,' % (head.n + 1)
    for line in lines_of(path):
        if line.startswith(start):
            read = read_line(line)
            return read is not None and read[0].before == head.hash
    return False


def head_path(path: Path) -> Path:
    """Where a log's head file is."""
    return path.with_name(f"{path.name}.head")


def read_head(path: Path) -> Head | None:
    """What the head file says; None where it is missing or says nothing.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        given = json.loads(head_path(path).read_bytes())
        head = Head(n=given["n"], hash=given["hash"], first=given["first"], before=given["before"])
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return None
    numbers, hashes = (head.n, head.first), (head.hash, head.before)
    fine = all(isinstance(each, int) and 0 <= each < _MOST_LINES for each in numbers) and all(
        isinstance(each, str) for each in hashes
    )
    return head if fine else None


def write_head(path: Path, head: Head) -> None:
    """Replaces the head file, and syncs it.

    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    fresh = path.with_name(f"{path.name}.head.new")
    given = {"n": head.n, "hash": head.hash, "first": head.first, "before": head.before}
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(given, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(head_path(path))
