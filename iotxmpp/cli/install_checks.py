"""What `iotxmpp agent install` looks at before a service is started in vain."""

import errno
import grp
import os
import pwd
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Unit

if TYPE_CHECKING:
    from iotxmpp.doctor.device import Device

_ROOT = 0
_NOBODY = -1
_DYNAMIC = range(61184, 65520)
"""The users that systemd makes, by number; a file of theirs may be the service's own from before."""

_MOST_LINKS = 40
_BESIDE = (
    *("", "-wal", "-shm", "-journal", ".epoch", ".epoch.new", ".mark", ".lock"),
    *(".making", ".making-wal", ".making-shm", ".making-journal"),
)
_BESIDE_STEM = (
    *(".commands.db", ".commands.db-wal", ".commands.db-shm", ".commands.db-journal"),
    *(".audit.log", ".audit.log.head", ".twin.json", ".twin.json.new"),
)
"""What the agent writes beside its outbox, after that file's name, and after that without its ending."""

_READ, _WRITE, _ENTER = 4, 2, 1
_OTHERS_READ, _OTHERS_ENTER = 0o004, 0o001


def check_reach(unit: Unit, read: tuple[Path, ...]) -> None:
    """Refuses what a user that systemd makes could not read or run.

    Args:
        unit: The unit.
        read: The files that its agent reads.

    Raises:
        ConfigError: A folder on the way is closed to others, or one of the agent's files is, or the agent's
            file, its outbox or Python is where the service would have a folder of its own.
    """
    if unit.scope == "user" or unit.run_as is not None:
        return
    if unit.shared_tmp is not None:  # DynamicUser implies PrivateTmp
        what, out = _out_of_tmp(unit, unit.shared_tmp)
        raise ConfigError(
            f"{what} {unit.shared_tmp}: a user that systemd makes has a /tmp of its own, without what is"
            f" there now; {out}, or name a user by --run-as"
        )
    for path in (*read, Path(unit.program[0])):
        try:
            folders = _folders(path)
            is_open = path.stat().st_mode & _OTHERS_READ
        except (OSError, ValueError):
            continue  # by --force; the agent tells it
        closed = next((each for each in reversed(folders) if not each.stat().st_mode & _OTHERS_ENTER), None)
        if closed is not None:
            raise ConfigError(
                f"{_shown(path, closed)}: others may not read {closed}, nor may the service's own user; put"
                " the agent's files into /etc/iotxmpp and Python into /opt, or name a user by --run-as"
            )
        if not is_open:
            raise ConfigError(
                f"{path}: others may not read it, nor may the service's own user; run: chmod o+r"
                f" {shlex.quote(str(path))} (in /etc/iotxmpp, not in a home), or name a user by --run-as"
            )


def _out_of_tmp(unit: Unit, path: Path) -> tuple[str, str]:
    """What of a unit is below a folder that its service would not see, and how it gets out of there."""
    if path == unit.config:
        return "the agent's file", "put it into /etc/iotxmpp"
    if path in unit.writable:
        return "the outbox's folder", _own_outbox(unit)
    return "Python", "put it into /opt"


def _own_outbox(unit: Unit) -> str:
    return f"leave `outbox` out, so that it is in the service's own folder, /var/lib/iotxmpp/{unit.name}"


def _folders(path: Path) -> list[Path]:
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


def _shown(path: Path, closed: Path) -> str:
    """A path for people, with where it leads if that is how it comes by a folder that is closed."""
    return str(path) if closed in path.parents else f"{path}, which leads to {path.resolve()}"


def check_outbox(unit: Unit, outbox: Path | None) -> str:
    """Refuses an outbox that the service could not write.

    The audit log, the journal and the settings stand beside it.

    Args:
        unit: The unit.
        outbox: The outbox's file, as the agent's file names it; None for none.

    Returns:
        What of it a user with a name may not write by the modes of files and folders, and what to do; empty
        for nothing.

    Raises:
        ConfigError: Its folder is not there, or closed to a user that systemd makes, or a file in it is.
    """
    if unit.scope == "user" or outbox is None:
        return ""
    folder = outbox.parent
    out = _own_outbox(unit)
    try:
        is_there = folder.is_dir()
        closed = _closed(*_rights(unit), outbox) if is_there else None
    except OSError as error:  # not as root, who alone can install
        return f"outbox {outbox}: whether the service may write it is not known: {error.strerror}"
    if not is_there:  # systemd starts no service that may write where nothing is
        user = unit.run_as or "USER"
        make = f"make it: sudo install -d -o {user} {shlex.quote(str(folder))}"
        also = "" if unit.run_as else f", with --run-as {user} here"
        raise ConfigError(f"outbox {outbox}: there is no folder {folder}; {out}; or {make}{also}")
    if closed is None:
        return ""
    if unit.run_as is None:
        raise ConfigError(
            f"outbox {outbox}: the service's own user may not write {closed}; {out}; or name a user who may"
            " write there by --run-as"
        )
    is_own = folder in (closed, closed.parent)
    chown = f"; or run: sudo chown {unit.run_as} {shlex.quote(str(closed))}" if is_own else ""
    right = "write" if is_own else "enter"
    return f"outbox {outbox}: {unit.run_as} may not {right} {closed}, as its mode is; {out}{chown}"


def _rights(unit: Unit) -> tuple[int, set[int]]:
    """The service's user and groups, by number."""
    groups = {group.gr_gid for group in grp.getgrall() if group.gr_name in unit.hardware.groups}
    if unit.run_as is None:
        return _NOBODY, groups
    who = pwd.getpwnam(unit.run_as)
    return who.pw_uid, {who.pw_gid, *os.getgrouplist(unit.run_as, who.pw_gid), *groups}


def _closed(user: int, groups: Collection[int], outbox: Path) -> Path | None:
    """What of an outbox, its folders and the files beside it a user may not use; None for nothing."""
    folder = outbox.parent
    closed = next((each for each in _folders(folder) if not _may(user, groups, each, _ENTER)), None)
    if closed is not None:
        return closed
    if not all(_may(user, groups, folder, right) for right in (_WRITE, _ENTER)):
        return folder
    there = (path for path in files_of(outbox) if path.is_file())
    return next((path for path in there if not _may(user, groups, path, _WRITE)), None)


def files_of(outbox: Path) -> list[Path]:
    """What the agent writes for an outbox, whether it is there or not.

    What it only sets aside or reads, such as `.corrupt-…` or an older file of the audit log, is none of it.

    Args:
        outbox: The outbox's file.
    """
    names = (*(outbox.name + end for end in _BESIDE), *(outbox.stem + end for end in _BESIDE_STEM))
    return [outbox.with_name(name) for name in names]


def closed_to(user: str, paths: tuple[Path, ...]) -> Iterator[str]:
    """The files that a user may not read, by the modes of files and folders; each with what to do.

    Args:
        user: The user's name.
        paths: The files; one that is not there is passed over.
    """
    who = pwd.getpwnam(user)
    groups = {who.pw_gid, *os.getgrouplist(user, who.pw_gid)}
    for path in paths:
        try:
            closed = [each for each in _folders(path) if not _may(who.pw_uid, groups, each, _ENTER)]
            is_closed = not closed and not _may(who.pw_uid, groups, path, _READ)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{path}: whether {user} may read it is not known: {error.strerror}"
            continue
        except ValueError:
            yield f"{str(path)!r} holds a NUL character, which no path can have; give another path"
            continue
        if closed:
            yield (
                f"{_shown(path, closed[0])}: {user} may not enter {closed[0]}, as its mode is; put the"
                " agent's files into /etc/iotxmpp and Python into /opt, or name another user by --run-as"
            )
        elif is_closed:
            yield (
                f"{path}: {user} may not read it, as its mode is; run: sudo chown {user}"
                f" {shlex.quote(str(path))}, or name another user by --run-as"
            )


def _may(user: int, groups: Collection[int], path: Path, right: int) -> bool:
    """Whether a file's mode gives a user a right; the owner's and the group's go before the others'."""
    if user == _ROOT:
        return True
    found = path.stat()
    is_own = found.st_uid == user or (user == _NOBODY and found.st_uid in _DYNAMIC)
    shift = 6 if is_own else 3 if found.st_gid in groups else 0
    return bool(found.st_mode >> shift & right)


def check_functions(device: "Device") -> None:
    """Refuses a python driver's module that the service would not find.

    Args:
        device: The device.

    Raises:
        ConfigError: There is no such module for it.
    """
    from iotxmpp.doctor.extras import missing_modules

    if device.uses("python"):
        for finding in missing_modules(device.settings):
            raise ConfigError(f"agent file {device.config}: {finding.what}: {finding.why}: {finding.fix[0]}")
