"""What the modes of files and folders let the user of a service do."""

import errno
import grp
import os
import pwd
from collections.abc import Collection
from pathlib import Path

READ, WRITE, ENTER = 4, 2, 1

_ROOT = 0
_NOBODY = -1
DYNAMIC = range(61184, 65520)
"""The users that systemd makes, by number; a file of theirs may be the service's own from before."""

_MOST_LINKS = 40


def rights_of(user: str | None, groups: Collection[str]) -> tuple[int, set[int]]:
    """A service's user and groups, by number.

    Args:
        user: The user's name; None for one that systemd makes.
        groups: The groups of the service besides; those that this machine does not have are passed over.

    Raises:
        KeyError: There is no such user.
    """
    numbers = {group.gr_gid for group in grp.getgrall() if group.gr_name in groups}
    if user is None:
        return _NOBODY, numbers
    who = pwd.getpwnam(user)
    return who.pw_uid, {who.pw_gid, *os.getgrouplist(user, who.pw_gid), *numbers}


def may(user: int, groups: Collection[int], path: Path, right: int) -> bool:
    """Whether a file's mode gives a user a right; the owner's and the group's go before the others'.

    Raises:
        OSError: The file cannot be looked at.
    """
    if user == _ROOT:
        return True
    found = path.stat()
    is_own = found.st_uid == user or (user == _NOBODY and found.st_uid in DYNAMIC)
    shift = 6 if is_own else 3 if found.st_gid in groups else 0
    return bool(found.st_mode >> shift & right)


def folders(path: Path) -> list[Path]:
    """The folders that are entered on the way to a path, the outermost first; those of links, too.

    Raises:
        OSError: A link cannot be read, or leads nowhere.
    """
    here, passed, links = Path("/"), [Path("/")], 0
    ahead = [*reversed(path.parts[1:])]
    while ahead:
        step = ahead.pop()
        there = here.parent if step == ".." else here / step
        if there.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            goal = there.readlink()
            here = Path("/") if goal.is_absolute() else here
            ahead += [each for each in reversed(goal.parts) if each != "/"]
        else:
            here = there
            passed += [here] if ahead else []
    return list(dict.fromkeys(passed))


def shown(path: Path, closed: Path) -> str:
    """A path for people, with where it leads if that is how it comes by a folder that is closed."""
    return str(path) if closed in path.parents else f"{path}, which leads to {path.resolve()}"
