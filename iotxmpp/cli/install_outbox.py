"""Whether a service may write its outbox, and what the agent keeps beside it."""

import os
import shlex
from collections.abc import Collection
from pathlib import Path

from iotxmpp.cli.install_rights import ENTER, WRITE, folders, may, rights_of
from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Unit

_LOCK = ".lock"
_JOURNAL = ".commands.db"
_FRESH = ".new"
"""Names that their rooms form by themselves; a test holds them against what an agent writes."""


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
    out = own_outbox(unit)
    try:
        missing = next((each for each in folders_of(outbox) if not each.is_dir()), None)
        closed = None if missing else _closed(*rights_of(unit.run_as, unit.hardware.groups), outbox)
    except OSError as error:  # not as root, who alone can install
        return f"outbox {outbox}: whether the service may write it is not known: {error.strerror}"
    if missing is not None:  # systemd starts no service that may write where nothing is
        user = unit.run_as or "USER"
        make = f"make it: sudo install -d -o {user} {shlex.quote(str(missing))}"
        also = "" if unit.run_as else f", with --run-as {user} here"
        raise ConfigError(f"outbox {outbox}: there is no folder {missing}; {out}; or {make}{also}")
    if closed is None:
        return ""
    if unit.run_as is None:
        raise ConfigError(
            f"outbox {outbox}: the service's own user may not write {closed}; {out}; or name a user who may"
            " write there by --run-as"
        )
    is_own = not {closed, closed.parent}.isdisjoint(folders_of(outbox))
    chown = f"; or run: sudo chown {unit.run_as} {shlex.quote(str(closed))}" if is_own else ""
    right = "write" if is_own else "enter"
    return f"outbox {outbox}: {unit.run_as} may not {right} {closed}, as its mode is; {out}{chown}"


def own_outbox(unit: Unit) -> str:
    """The advice that a service needs no outbox elsewhere."""
    return f"leave `outbox` out, so that it is in the service's own folder, /var/lib/iotxmpp/{unit.name}"


def folders_of(outbox: Path) -> tuple[Path, ...]:
    """The folders that an agent writes to for an outbox: two where that is a link into another one."""
    return tuple(dict.fromkeys((outbox.parent, _real(outbox).parent)))


def files_of(outbox: Path) -> list[Path]:
    """What the agent opens to write for an outbox, whether it is there or not.

    What it only makes new, sets aside or reads, such as `.corrupt-…` or an older file of the audit log, is
    none of it.

    Args:
        outbox: The outbox's file.
    """
    from iotxmpp.agent.outbox.mark import Mark
    from iotxmpp.agent.outbox.notes import EpochNotes
    from iotxmpp.agent.outbox.replacing import unfinished
    from iotxmpp.agent.twinfile import twin_path
    from iotxmpp.serving.auditchain import head_path
    from iotxmpp.serving.auditentry import audit_path
    from iotxmpp.serving.calltable import made_mark

    real, journal = _real(outbox), outbox.with_name(outbox.stem + _JOURNAL)
    audit, twin = audit_path(outbox), twin_path(outbox)
    replaced = [EpochNotes(outbox).path, *([twin] if twin else [])]
    return [
        *_database(real),
        *_database(unfinished(real)),
        *_database(journal),
        made_mark(journal),
        Mark(outbox).path,
        outbox.with_name(outbox.name + _LOCK),
        audit,
        head_path(audit),
        *replaced,
        *(path.with_name(path.name + _FRESH) for path in replaced),
    ]


def _real(outbox: Path) -> Path:
    """Where a link to an outbox leads: there SQLite keeps what belongs to it."""
    return Path(os.path.realpath(outbox))


def _database(path: Path) -> list[Path]:
    """A file of SQLite, with what SQLite keeps beside it."""
    from iotxmpp.agent.outbox.replacing import SIDES, beside

    return [beside(path, end) for end in ("", *SIDES)]


def _closed(user: int, groups: Collection[int], outbox: Path) -> Path | None:
    """What of an outbox, its folders and the files beside it a user may not use; None for nothing."""
    for folder in folders_of(outbox):
        closed = next((each for each in folders(folder) if not may(user, groups, each, ENTER)), None)
        if closed is not None:
            return closed
        if not all(may(user, groups, folder, right) for right in (WRITE, ENTER)):
            return folder
    there = (path for path in files_of(outbox) if path.is_file())
    return next((path for path in there if not may(user, groups, path, WRITE)), None)
