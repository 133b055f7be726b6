"""`iotxmpp agent install`: makes a device's agent a service of systemd."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from iotxmpp.cli.exits import Exit
from iotxmpp.cli.install_checks import check_functions, check_outbox, check_reach, closed_to
from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Hardware, Unit, check_name, hardware_of, is_changed, is_of, untold_port

SYSTEM_FOLDER = Path("/etc/systemd/system")
CREDENTIAL_STORE = Path("/etc/credstore")
DYNAMIC = "dynamic"
_OLDEST = 252
_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ROOT = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    unit: Unit
    file: Path
    read: tuple[Path, ...]
    untold: str
    outbox: Path | None


def install(
    config: Annotated[Path, typer.Argument(help="The device's agent.toml.")],
    as_user: Annotated[
        bool, typer.Option("--user", metavar="", help="For the manager of this user; no root is needed.")
    ] = False,
    as_system: Annotated[
        bool, typer.Option("--system", metavar="", help="For the whole machine; the default.")
    ] = False,
    name: Annotated[str, typer.Option(help="The unit's name; iotxmpp-DEVICE unless given.")] = "",
    run_as: Annotated[
        str,
        typer.Option(
            help="With --system: the user that runs it, or `dynamic`; the owner of CONFIG unless given."
        ),
    ] = "",
    groups: Annotated[
        str,
        typer.Option(
            help="With --system: groups of the service besides, with commas, also if not on this machine."
        ),
    ] = "",
    show: Annotated[
        bool, typer.Option("--print", metavar="", help="Show the unit, and write nothing.")
    ] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", metavar="", help="Remove the unit.")] = False,
    now: Annotated[
        bool, typer.Option("--now", metavar="", help="Also run the commands that are next.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            metavar="",
            help="Overwrite or remove a unit that was changed; install what `agent run` would refuse, but for"
            " a CONFIG of which no unit can be made.",
        ),
    ] = False,
) -> None:
    """Write a hardened systemd unit that runs a device's agent, and starts it again when it hangs."""
    if as_user and as_system:
        raise typer.BadParameter("--user and --system exclude each other")
    if uninstall and not show:
        _uninstall(config, name=name, user=as_user, now=now, force=force)
        return
    if not (uninstall or force):
        _check_file(config)
    wanted = _wanted(config, name=name, run_as=run_as, user=as_user, groups=_split(groups))
    if show:
        typer.echo(wanted.unit.text(), nl=False)
        return
    _check_change(wanted.file, force=force)
    check_reach(wanted.unit, wanted.read)
    doubts = [*_doubts(wanted), check_outbox(wanted.unit, wanted.outbox)]
    for line in filter(None, doubts):
        typer.echo(line, err=True)
    text = wanted.unit.text()
    if _text(wanted.file) == text:
        typer.echo(f"{wanted.file} is up to date")
    else:
        _write(wanted.file, text)
        typer.echo(f"{wanted.file} is written")
    for id_, path in wanted.unit.credentials.items():
        if not path.exists():
            line = f"sudo install -D -m 600 /dev/stdin {path}"
            typer.echo(f"The password is to be in {path}, which holds credential {id_}: {line}", err=True)
    _next(_commands(wanted.unit), now=now)


def _check_file(config: Path) -> None:
    """Refuses what `agent run` would refuse: a service of it would never start.

    Raises:
        ConfigError: The agent's file, or one that it names, is missing or wrong.
    """
    from iotxmpp.agent.config import check_agent
    from iotxmpp.doctor.device import read_device

    faults = check_agent(config)
    try:
        device = read_device(config)
    except ConfigError as error:  # and no unit could be made of it by force
        raise ConfigError(f"{'; '.join(faults or [str(error)])}; mend it") from error
    if faults:
        raise ConfigError(f"{'; '.join(faults)}; mend it, or give --force")
    check_functions(device)


def _split(groups: str) -> tuple[str, ...]:
    """The groups of the option.

    Raises:
        typer.BadParameter: One is no name of a group.
    """
    names = tuple(name.strip() for name in groups.split(",") if name.strip())
    for name in names:
        if not _GROUP.fullmatch(name):
            raise typer.BadParameter(f"{name!r} is no group's name", param_hint="--groups")
    return names


def _wanted(config: Path, *, name: str, run_as: str, user: bool, groups: tuple[str, ...]) -> _Wanted:
    from iotxmpp.doctor.device import read_device

    device = read_device(config)
    who = None if user else _runner(device.config, run_as)
    credentials = {}
    if device.credential:
        credentials[device.credential] = CREDENTIAL_STORE / device.credential
    elif not user:  # root reads the file for whoever the service runs as
        credentials[device.account.name] = device.account
    if user and run_as:
        raise typer.BadParameter("--run-as is for --system alone: a user's manager runs what is that user's")
    if user and groups:
        raise typer.BadParameter("--groups is for --system alone: a user's service has that user's groups")
    outbox = device.outbox.path
    hardware = hardware_of(device.kind, device.settings) if not device.simulated else Hardware()
    unit = Unit(
        name=_unit_name(name, device.id),
        device=device.id,
        config=device.config,
        # Without -P, a queue.py beside the agent's file would be taken for Python's own.
        program=(sys.executable, "-P", "-m", "iotxmpp"),
        scope="user" if user else "system",
        run_as=who,
        hardware=replace(hardware, groups=tuple(dict.fromkeys((*hardware.groups, *groups)))),
        groups=(*_groups(), *groups),
        credentials=credentials,
        writable=(outbox.parent,) if isinstance(outbox, Path) else (),
        version=_version(),
    )
    return _Wanted(
        unit=unit,
        file=_folder(user=user) / unit.file_name,
        read=(device.config, *device.files),
        untold="" if device.simulated else untold_port(device.kind, device.settings),
        outbox=outbox if isinstance(outbox, Path) else None,
    )


def _unit_name(given: str, device: str) -> str:
    return (given or f"iotxmpp-{device}").removesuffix(".service")


def _folder(*, user: bool) -> Path:
    return Path.home() / ".config/systemd/user" if user else SYSTEM_FOLDER


def _doubts(wanted: _Wanted) -> Iterator[str]:
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
        yield from closed_to(unit.run_as, (*wanted.read, Path(unit.program[0])))


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
    rows = (line.split(":") for line in _text(Path("/etc/group")).splitlines())
    return [row[0] for row in rows if row]


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _check_change(path: Path, *, force: bool) -> None:
    """Refuses to touch a unit that somebody else wrote, or changed."""
    text = _text(path)
    if text and is_changed(text) and not force:
        raise ConfigError(
            f"{path} was changed since it was written, or written by other means; put your changes into"
            f" `systemctl edit {path.stem}`, or give --force to lose them"
        )


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.chmod(0o644)
        scratch.replace(path)
    except OSError as error:
        raise _not_allowed(path, error) from error


def _not_allowed(path: Path, error: OSError) -> ConfigError:
    hint = "" if os.geteuid() == _ROOT else "; run it by sudo, or give --user"
    return ConfigError(f"{path} cannot be written: {error.strerror or error}{hint}")


def _commands(unit: Unit) -> list[str]:
    if unit.scope == "user":
        # A user's manager ends with the last login, unless it lingers.
        control = "systemctl --user"
        return [f"{control} daemon-reload", f"{control} enable --now {unit.name}", "loginctl enable-linger"]
    sudo = "" if os.geteuid() == _ROOT else "sudo "
    return [f"{sudo}systemctl daemon-reload", f"{sudo}systemctl enable --now {unit.name}"]


def _uninstall(config: Path, *, name: str, user: bool, now: bool, force: bool) -> None:
    """Removes a unit; one that is named needs no agent's file.

    Raises:
        ConfigError: Which one is meant cannot be told, or it was changed, or cannot be removed.
    """
    from iotxmpp.doctor.device import read_device
    from iotxmpp.doctor.places import entries, text_of

    folder = _folder(user=user)
    units = [file for file in entries(folder, "*.service") if is_of(text_of(file), config.absolute())]
    ours = " or ".join(f"--name {file.stem}" for file in units)
    try:
        device = "" if name else read_device(config).id
    except ConfigError as error:
        raise ConfigError(f"{error}; mend it, or give the unit's name: {ours or '--name NAME'}") from error
    file = folder / f"{check_name(_unit_name(name, device))}.service"
    if file.exists() and (name or file in units):
        _check_change(file, force=force)
        _remove(file, user=user, now=now)
    elif ours and not name:
        what = "is not of it" if file.exists() else "is not there"
        raise ConfigError(f"{file} {what}, but {config} has another unit: give {ours}")
    elif file.exists():  # another agent's, perhaps: without the account nothing tells this one's name
        raise ConfigError(
            f"{file} does not run {config.absolute()}; to remove it all the same, give --name {file.stem}"
        )
    else:
        typer.echo(f"{file} is not there")


def _remove(file: Path, *, user: bool, now: bool) -> None:
    control = "systemctl --user" if user else "systemctl"
    if now:
        _run(f"{control} disable --now {file.stem}")
    try:
        file.unlink()
    except OSError as error:
        raise _not_allowed(file, error) from error
    typer.echo(f"{file} is removed; what the agent kept stays in its state directory")
    before = [] if now else [f"{control} disable --now {file.stem}"]
    _next([*before, f"{control} daemon-reload"], now=now)


def _next(commands: list[str], *, now: bool) -> None:
    if not now:
        typer.echo("Next:")
    for command in commands:
        if now:
            _run(command)
        else:
            typer.echo(f"  {command}")


def _run(command: str) -> None:
    typer.echo(f"$ {command}")
    try:
        done = subprocess.run(command.split(), timeout=90, check=False)  # noqa: S603  # the commands above
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{command}: {error}") from error
    if done.returncode:
        typer.echo(f"{command} ended with code {done.returncode}", err=True)
        raise typer.Exit(Exit.FAILED)
