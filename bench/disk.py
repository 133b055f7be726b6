"""What a process wrote, and where to."""

from pathlib import Path


def written(pid: int) -> int:
    """Bytes that a process has caused to be written to storage: pages of files that it made dirty."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def file_system(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    where = folder.resolve()
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    above = [mount for mount in mounts if where.is_relative_to(mount[1])]
    return max(reversed(above), key=lambda mount: len(mount[1]))[2]
