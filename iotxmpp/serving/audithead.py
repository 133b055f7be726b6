"""The head file of an audit log: where the log ends, so that nothing is cut off or added there unseen.

It is written in place before each line, with the hash that the line is about to have, and after it. So an
end of the log that the head file does not tell of is no crash's work.
"""

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from iotxmpp.serving.auditchain import MOST_LINES, NOTHING, Tail, hash_of, head_path, quoted, rotated_files

HEAD_BYTES = 512
"""How long a head file is, always: it is written in one piece."""

_HASH = re.compile("[0-9a-f]{64}")
_BOOT = re.compile(r"[0-9a-f?-]{0,36}")
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN = "?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the head file says.

    Attributes:
        n: The number of the last line that was written.
        hash: That line's hash.
        next: The hash of the line that is being written after it; empty for none.
        first: The number of the first line that is kept.
        before: The hash of the line before that.
        synced: The number of a line that is on disk, and no power cut takes it.
        synced_hash: That line's hash.
        boot: Which run of the machine wrote it; empty once the log was closed, and all of it is on disk.
        tampered: The number of the first line that says that the log was tampered with; 0 for none.
    """

    n: int
    hash: str
    next: str = ""
    first: int = 1
    before: str = NOTHING
    synced: int = 0
    synced_hash: str = NOTHING
    boot: str = ""
    tampered: int = 0

    def lost_power(self) -> bool:
        """Whether the machine stopped while the log was open; then the last lines may not be on disk."""
        return bool(self.boot) and (self.boot != boot_id() or self.boot == _UNKNOWN)


class HeadFile:
    """The head file of a log that is open."""

    def __init__(self, path: Path, head: Head) -> None:
        """Replaces it by a whole one.

        Raises:
            OSError: It cannot be written; the one before is still there.
        """
        self._say(head)
        _write_new(path, head).replace(head_path(path))
        _sync_directory(path)
        self._handle = os.open(head_path(path), os.O_WRONLY | os.O_CLOEXEC)

    @property
    def head(self) -> Head:
        """What it says."""
        n, digest, following = self._end
        return replace(self._head, n=n, hash=digest, next=following)

    def write(self, head: Head) -> None:
        """Says something else, to all who read it from now on; it is not on disk yet.

        Raises:
            OSError: It cannot be written.
        """
        self._say(head)
        self._put()

    def write_end(self, n: int, digest: str, following: str) -> None:
        """The same, where only the log's end is another: `n`, `hash`, `next`. Each line takes two of these.

        Raises:
            OSError: It cannot be written.
        """
        self._end = (n, digest, following)
        self._put()

    def _say(self, head: Head) -> None:
        self._head = head
        self._end = (head.n, head.hash, head.next)
        self._rest = _rest_of(head)

    def _put(self) -> None:
        os.pwrite(self._handle, _bytes_of(*self._end, self._rest), 0)

    def duplicate(self) -> int:
        """Another descriptor of the file, to sync it."""
        return os.dup(self._handle)

    def sync(self) -> None:
        """Has it on disk.

        Raises:
            OSError: It is not.
        """
        os.fsync(self._handle)

    def close(self) -> None:
        """Ends it."""
        os.close(self._handle)


def read_head(path: Path) -> Head | None:
    """What the head file says; None where it is missing or says nothing.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        head = Head(**json.loads(head_path(path).read_bytes()))
        numbers = (head.n, head.first, head.synced, head.tampered)
        hashes = (head.hash, head.before, head.synced_hash, head.next or NOTHING)
        fine = (
            all(type(each) is int and 0 <= each < MOST_LINES for each in numbers)
            and all(_HASH.fullmatch(each) for each in hashes)
            and _BOOT.fullmatch(head.boot)
        )
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    return head if fine else None


def begin_head(path: Path) -> None:
    """Makes the head file of a log that is not there yet, before its first file.

    So a log without a head file is never a crash's work.

    Raises:
        OSError: It cannot be written.
    """
    if path.exists() or head_path(path).exists() or rotated_files(path):
        return
    fresh = _write_new(path, Head(n=0, hash=NOTHING))
    try:
        os.link(fresh, head_path(path))  # never over that of another process, which was faster
        fresh.unlink()
    except FileExistsError:
        fresh.unlink(missing_ok=True)
    except OSError:  # a file system without links
        fresh.replace(head_path(path))


def fits(path: Path, head: Head, tail: Tail) -> bool:
    """Whether the log ends where the head file says, or where a crash or a power cut can have left it.

    Raises:
        OSError: A file cannot be read.
    """
    if (tail.n, tail.hash) == (head.n, head.hash):
        return True
    if head.next and (tail.n, tail.hash, tail.before) == (head.n + 1, head.next, head.hash):
        return True
    if not head.lost_power() or not tail.hash or tail.n < head.synced:
        return False
    known = {head.synced: head.synced_hash} | ({head.n: head.hash} if tail.n > head.n else {})
    return all(hash_of(path, n) == digest for n, digest in known.items() if n)


def settled(head: Head, tail: Tail) -> Head:
    """What to say once the lines up to one are on disk."""
    return replace(head, synced=tail.n, synced_hash=tail.hash)


def boot_id() -> str:
    """Which run of the machine this is."""
    try:
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return _UNKNOWN


def _bytes_of(n: int, digest: str, following: str, rest: str) -> bytes:
    # JSON by hand, as each line takes two of these; no hash or number needs an escape.
    text = f'{{"n":{n},"hash":"{digest}","next":"{following}",{rest}}}'
    return text.encode("ascii").ljust(HEAD_BYTES - 1) + b"\n"


def _rest_of(head: Head) -> str:
    """What follows the log's end in the file."""
    return (
        f'"first":{head.first},"before":"{head.before}","synced":{head.synced},'
        f'"synced_hash":"{head.synced_hash}","boot":{quoted(head.boot)},"tampered":{head.tampered}'
    )


def _write_new(path: Path, head: Head) -> Path:
    """A file of its own, on disk, that is to become the head file."""
    fresh = path.with_name(f"{path.name}.head.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(_bytes_of(head.n, head.hash, head.next, _rest_of(head)))
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync_directory(path: Path) -> None:
    handle = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
