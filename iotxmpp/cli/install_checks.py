"""What `iotxmpp agent install` looks at before a service is started in vain."""

import glob
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
_READ, _WRITE, _ENTER = 4, 2, 1
_OTHERS_READ, _OTHERS_ENTER = 0o004, 0o001


def check_reach(unit: Unit, read: tuple[Path, ...]) -> None:
    """Refuses what a user that systemd makes could not read or run.

    Args:
        unit: The unit.
        read: The files that its agent reads.

    Raises:
        ConfigError: A folder on the way is closed to others, or one of the agent's files is.
    """
    if unit.scope == "user" or unit.run_as is not None:
        return
    if unit.shared_tmp is not None:  # DynamicUser implies PrivateTmp
        raise ConfigError(
            f"{unit.shared_tmp}: a user that systemd makes has a /tmp of its own, without it; put the agent's"
            " file into /etc/iotxmpp, or name a user by --run-as"
        )
    for path in (*read, Path(unit.program[0])):
        if not path.exists():
            continue  # by --force; the agent tells it
        folders = (each for each in path.parents if not each.stat().st_mode & _OTHERS_ENTER)
        closed = next(folders, None)
        if closed is not None:
            raise ConfigError(
                f"{path}: others may not read {closed}, nor may the service's own user; put the agent's files"
                " into /etc/iotxmpp and Python into /opt, or name a user by --run-as"
            )
        if not path.stat().st_mode & _OTHERS_READ:
            raise ConfigError(
                f"{path}: others may not read it, nor may the service's own user; run: chmod o+r"
                f" {shlex.quote(str(path))} (in /etc/iotxmpp, not in a home), or name a user by --run-as"
            )


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
    out = f"leave `outbox` out, so that it is in the service's own folder, /var/lib/iotxmpp/{unit.name}"
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
    closed = next((each for each in reversed(folder.parents) if not _may(user, groups, each, _ENTER)), None)
    if closed is not None:
        return closed
    if not all(_may(user, groups, folder, right) for right in (_WRITE, _ENTER)):
        return folder
    stem, name = glob.escape(outbox.stem), glob.escape(outbox.name)
    kinds = (f"{name}*", f"{stem}.commands.db*", f"{stem}.audit.log*", f"{stem}.twin.json*")
    beside = sorted(path for kind in kinds for path in folder.glob(kind) if path.is_file())
    return next((path for path in beside if not _may(user, groups, path, _WRITE)), None)


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
            closed = [each for each in path.parents if not _may(who.pw_uid, groups, each, _ENTER)]
            is_closed = not closed and not _may(who.pw_uid, groups, path, _READ)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{path}: whether {user} may read it is not known: {error.strerror}"
            continue
        if closed:
            yield (
                f"{path}: {user} may not enter {closed[-1]}, as its mode is; put the agent's files into"
                " /etc/iotxmpp, or name another user by --run-as"
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
    shift = 6 if found.st_uid == user else 3 if found.st_gid in groups else 0
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
