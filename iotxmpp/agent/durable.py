"""Small files that are replaced as a whole, and stay so when the power goes."""

import os
from pathlib import Path


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
    fresh.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
