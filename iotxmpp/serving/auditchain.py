"""The form of an audit log: its lines, each with the hash of the one before, and its files."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTHING = "0" * 64
"""The hash that stands for the line before the first."""

LONGEST_LINE = 64 * 1024
"""Bytes that a line has at most; far more than one takes."""

MOST_LINES = 2**63
"""What a line's number is below."""

_HASH_AT = b',"hash":"'
_AFTER_BODY = len(_HASH_AT) + 64 + len(b'"}')
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


quoted: Callable[[str], str] = json.encoder.encode_basestring_ascii
"""A text as JSON, in ASCII."""


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


def line_of(n: int, before: str, fields: Mapping[str, object]) -> tuple[bytes, str]:
    """A line with its end, and its hash: SHA-256 of the line as it would be without `hash`."""
    return line_with(
        n, before, "".join(f",{quoted(name)}:{as_json(value)}" for name, value in fields.items())
    )


def line_with(n: int, before: str, fields: str) -> tuple[bytes, str]:
    """The same, with the fields as JSON in ASCII: a comma, a name, a colon and a value for each."""
    body = f'{{"n":{n},"prev":"{before}"{fields}}}'.encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    return b'%s%s%s"}\n' % (body[:-1], _HASH_AT, digest.encode("ascii")), digest


def as_json(value: object) -> str:
    """As the encoder writes it, without its detours: a device writes two lines for each call."""
    if type(value) is str:
        return quoted(value)
    if type(value) is float and math.isfinite(value):
        return repr(value)
    return _ENCODER.encode(value)


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
    if not isinstance(n, int) or not 0 <= n < MOST_LINES or not isinstance(before, str):
        return None
    return Tail(n=n, hash=digest, before=before), fields


def lines_of(file: Path) -> Iterator[bytes]:
    """The lines of one file with their ends; one without an end was never finished.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        while line := opened.readline(LONGEST_LINE):
            yield line


def end_of_last_line(file: Path) -> int:
    """How many bytes of a file are whole lines.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        end = opened.seek(0, os.SEEK_END)
        while end:
            start = max(end - LONGEST_LINE, 0)
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


def head_path(path: Path) -> Path:
    """Where a log's head file is."""
    return path.with_name(f"{path.name}.head")


def tail_of(path: Path) -> Tail | None:
    """The last line, in that file or in the newest one before it; None where there is no line.

    Of a last line that was changed, the number of the last one that was not, and no hash.

    Raises:
        OSError: A file cannot be read.
    """
    for file in (path, *reversed(rotated_files(path))):
        last = None
        for line in lines_of(file):
            last = line
        if last is not None:
            read = read_line(last)
            return read[0] if read else Tail(n=_last_number(file), hash="")
    return None


def hash_of(path: Path, n: int) -> str | None:
    """The hash of a line in the current file or in an older one; None where it is not there, or was changed.

    Raises:
        OSError: A file cannot be read.
    """
    start = b'{"n":%d,' % n
    for file in (path, *reversed(rotated_files(path))):
        for line in lines_of(file):
            if line.startswith(start):
                read = read_line(line)
                return read[0].hash if read else None
    return None


def _last_number(file: Path) -> int:
    return max((read[0].n for line in lines_of(file) if (read := read_line(line))), default=0)
