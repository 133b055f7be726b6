"""Small files that are replaced as a whole, and stay so when the power goes."""

import os
from pathlib import Path

from iotxmpp import crashpoints


def replace_file(path: Path, text: str, *, mode: int) -> None:
    """Writes a file anew; when it returns, the text is on the disk, and until then what was there before.

    Args:
        path: The file; `<name>.new` beside it is used on the way.
        text: What is to be in it.
        mode: The permissions of a new file, before the umask.

    Raises:
        OSError: It cannot be written.
        ValueError: The text is none that UTF-8 can hold.
    """
    fresh = path.with_name(f"{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    crashpoints.at("file.written")
    move(fresh, path)


def move(source: Path, target: Path) -> None:
    """Puts a whole file in the place of another; when it returns, that is on the disk.

    Args:
        source: The file; its content is on the disk.
        target: Its new name, in the same directory.

    Raises:
        OSError: It cannot be moved.
    """
    source.replace(target)
    sync_directory(target.parent)


def sync_file(path: Path) -> None:
    """Returns when a file's content is on the disk.

    Raises:
        OSError: The disk does not take it.
    """
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Returns when the names in a directory are on the disk.

    Raises:
        OSError: The disk does not take them.
    """
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
