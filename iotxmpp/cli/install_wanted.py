"""The unit that `iotxmpp agent install` is to write for an agent's file."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from iotxmpp.cli.install_checks import closed_to, python_files
from iotxmpp.cli.install_outbox import folders_of
from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Hardware, Unit, hardware_of, untold_port

CREDENTIAL_STORE = Path("/etc/credstore")
DYNAMIC = "dynamic"
_OLDEST = 252
_ROOT = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A unit, with what is to be known of its device.

    Attributes:
        unit: The unit.
        untold: The driver's port of which cannot be told what kind of device it is; empty for none.
        outbox: The outbox's file that the agent's file names; None for none.
    """

    unit: Unit
    untold: str
    outbox: Path | None


def wanted_unit(config: Path, *, name: str, run_as: str, user: bool, groups: tuple[str, ...]) -> Wanted:
    """The unit for an agent's file.

    Args:
        config: The file.
        name: The unit's name; by the device unless given.
        run_as: Who runs it, as the option says it.
        user: Whether it is for a user's own manager.
        groups: Groups of the service besides those of its driver.

    Raises:
        ConfigError: The file is missing or wrong, or there is no such user, or no such name for a unit.
    """
    from iotxmpp.doctor.device import read_device

    device = read_device(config)
    file, account = _straight(device.config), _straight(device.account)
    credentials = {}
    if device.credential:
        credentials[device.credential] = CREDENTIAL_STORE / device.credential
    elif not user:  # root reads the file for whoever the service runs as
        credentials[account.name] = account
    outbox = _straight(device.outbox.path) if isinstance(device.outbox.path, Path) else None
    hardware = hardware_of(device.kind, device.settings) if not device.simulated else Hardware()
    unit = Unit(
        name=unit_name(name, device.id),
        device=device.id,
        config=file,
        # Without -P, a queue.py beside the agent's file would be taken for Python's own.
        program=(sys.executable, "-P", "-m", "iotxmpp"),
        scope="user" if user else "system",
        run_as=None if user else _runner(file, run_as),
        hardware=replace(hardware, groups=tuple(dict.fromkeys((*hardware.groups, *groups)))),
        groups=(*_groups(), *groups),
        credentials=credentials,
        writable=folders_of(outbox) if outbox else (),
        reads=(*device.files, *python_files()),
        version=_version(),
    )
    untold = "" if device.simulated else untold_port(device.kind, device.settings)
    return Wanted(unit=unit, untold=untold, outbox=outbox)


def unit_name(given: str, device: str) -> str:
    """The name of a unit, without `.service`: the one that is given, else by the device."""
    return (given or f"iotxmpp-{device}").removesuffix(".service")


def doubts(wanted: Wanted) -> Iterator[str]:
    """What may keep the service from working, and does not hinder writing its unit."""
    unit = wanted.unit
    if unit.missing_groups:
        missing = " ".join(unit.missing_groups)
        yield f"This machine has no group {missing}, which the driver needs; see --groups"
    if wanted.untold and unit.scope == "system":
        yield (
            f"No port fits {wanted.untold} now, so that the unit may not allow its kind of device: plug the"
            " board in, and run this again"
        )
    if unit.scope == "system" and unit.run_as is not None:
        yield from closed_to(unit)


def _straight(path: Path) -> Path:
    """A path without `..`, which systemd does not take; links are followed only where it has some."""
    return Path(os.path.realpath(path.parent), path.name) if ".." in path.parts else path


def _runner(config: Path, given: str) -> str | None:
    """The user that runs it; None for one that systemd makes."""
    if given == DYNAMIC:
        return None
    if given:
        try:
            return pwd.getpwnam(given).pw_name
        except KeyError:
            raise ConfigError(f"--run-as {given}: there is no such user; give one, or `{DYNAMIC}`") from None
    owner = config.stat().st_uid
    if owner == _ROOT:
        return None
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        raise ConfigError(f"{config} belongs to user {owner}, who has no name; give --run-as") from None


def _groups() -> list[str]:
    """The groups that this machine has."""
    try:
        lines = Path("/etc/group").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line.partition(":")[0] for line in lines if line]


def _version() -> int:
    """The version of systemd; the oldest that is supported, where it is not to be had."""
    program = shutil.which("systemctl")
    if program is None:
        return _OLDEST
    try:
        asked = subprocess.run(  # noqa: S603  # systemd's own program, with fixed arguments
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return _OLDEST
    found = re.match(r"systemd (\d+)", asked.stdout)
    return int(found[1]) if found else _OLDEST
