"""The server's directory: made, checked, owned, locked."""

import fcntl
import os
import pwd
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from iotxmpp.server.errors import ServerDirectoryError
from iotxmpp.server.layout import Layout
from iotxmpp.server.spec import ServerKind

_READ_FOLDER = stat.S_IRGRP | stat.S_IXGRP


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A user without rights, for the server to run as.

    Attributes:
        name: The user's name.
        uid: The user's id.
        gid: The id of the user's first group.
    """

    name: str
    uid: int
    gid: int


def server_owner(kind: ServerKind) -> Owner | None:
    """Who the server runs as: ourselves (None), or as root the package's own user, else `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in (str(kind), "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ServerDirectoryError(f"{kind} must not run as root, and there is no user {kind} or nobody")


def prepare(layout: Layout, owner: Owner | None) -> None:
    """Makes the directory and its parts, or takes over the one of an earlier start.

    Raises:
        ServerDirectoryError: It holds other things, is another user's, or the server could not reach it.
    """
    directory = layout.directory
    try:
        if owner is not None:
            _check_reachable(directory, owner)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_ours(layout)
        if owner is not None:  # again, with the folders above it that were just made
            _check_reachable(directory, owner)
        _own(directory, owner, stat.S_IXGRP)
        for part in (layout.etc, layout.var):
            part.mkdir(mode=0o700, exist_ok=True)
        _own(layout.etc, owner, _READ_FOLDER)
        if owner is not None:
            os.chown(layout.var, owner.uid, owner.gid, follow_symlinks=False)
    except OSError as error:
        raise ServerDirectoryError(f"server directory {directory}: {error}; choose another") from error


def _check_ours(layout: Layout) -> None:
    directory = layout.directory
    if directory.stat().st_uid != os.geteuid():
        raise ServerDirectoryError(
            f"server directory {directory} belongs to another user; choose one of your own"
        )
    if not layout.settings.exists() and any(directory.iterdir()):
        raise ServerDirectoryError(
            f"server directory {directory} holds other things; choose a new or empty one"
        )


def _own(folder: Path, owner: Owner | None, rights: int) -> None:
    """Ours alone; where the server is another user, its group has these rights."""
    if owner is not None:
        os.chown(folder, -1, owner.gid)
    folder.chmod(stat.S_IRWXU | rights if owner is not None else stat.S_IRWXU)


def _check_reachable(directory: Path, owner: Owner) -> None:
    """Looks at the folders above it that exist."""
    for folder in reversed(directory.resolve().parents):
        if folder.exists() and not _may_pass(folder.stat(), owner):
            raise ServerDirectoryError(
                f"the server runs as the user {owner.name}, who may not pass {folder}; choose a directory "
                f"elsewhere, such as below /var/lib or /tmp, or run: chmod o+x {folder}"
            )


def _may_pass(folder: os.stat_result, owner: Owner) -> bool:
    if folder.st_uid == owner.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == owner.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def write(path: Path, content: str | bytes, *, owner: Owner | None = None, mode: int = 0o600) -> None:
    """Replaces a file in one step, so that nobody sees half of it or its secret.

    Args:
        path: The file.
        content: All of it; text becomes UTF-8.
        owner: Who may read it; None for ourselves.
        mode: Its permissions.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            if owner is not None:
                os.fchown(handle, owner.uid, owner.gid)
            file.write(data)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def write_all(files: Iterable[tuple[Path, str]], owner: Owner | None) -> None:
    """Writes the files that the server reads, and their folders."""
    for path, text in files:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700)
            _own(path.parent, owner, _READ_FOLDER)
        write(path, text, owner=owner)


@contextmanager
def locked(layout: Layout) -> Iterator[int | None]:
    """Gives the descriptor of the locked directory; None where another server lives there.

    Whoever keeps that descriptor open keeps the lock.
    """
    handle = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield handle
    finally:
        os.close(handle)


def last_lines(*paths: Path, count: int = 12) -> str:
    """The last lines of the files that have any, for an error's text."""
    lines: list[str] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        lines += [f"  {path.name}: {line}" for line in text.splitlines()[-count:]]
    return "\n".join(lines)
