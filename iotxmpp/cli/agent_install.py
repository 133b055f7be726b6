"""`iotxmpp agent install`: makes a device's agent a service of systemd."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from iotxmpp.cli.exits import Exit
from iotxmpp.cli.install_checks import check_device, check_reach
from iotxmpp.cli.install_outbox import check_outbox
from iotxmpp.cli.install_units import (
    check_change,
    check_whose,
    folder_of,
    remove_unit,
    unit_text,
    units_of,
    write_unit,
)
from iotxmpp.cli.install_wanted import CREDENTIAL_STORE, doubts, unit_name, wanted_unit
from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Unit, check_name, config_of

_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ROOT = 0


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
            help="Overwrite or remove a unit that was changed, overwrite one of another CONFIG; install what"
            " `agent run` would refuse, but for a CONFIG of which no unit can be made.",
        ),
    ] = False,
) -> None:
    """Write a hardened systemd unit that runs a device's agent, and starts it again when it hangs."""
    _check_options(as_user=as_user, as_system=as_system, run_as=run_as, groups=groups)
    if uninstall and not show:
        _uninstall(config, name=name, user=as_user, now=now, force=force)
        return
    if not (uninstall or force):
        check_device(config)
    wanted = wanted_unit(config, name=name, run_as=run_as, user=as_user, groups=_split(groups))
    unit = wanted.unit
    if show:
        typer.echo(unit.text(), nl=False)
        return
    file = folder_of(user=as_user) / unit.file_name
    if not force:
        check_whose(file, unit.config, user=as_user)
        check_change(file)
    check_reach(unit)
    told = [*doubts(wanted), check_outbox(unit, wanted.outbox), *_others(file, unit)]
    for line in filter(None, told):
        typer.echo(line, err=True)
    is_new = not file.exists()
    if unit_text(file) == unit.text():
        typer.echo(f"{file} is up to date")
    else:
        write_unit(file, unit.text())
        typer.echo(f"{file} is written")
    for line in _missing(unit):
        typer.echo(line, err=True)
    _next(_commands(unit, is_new=is_new), now=now)


def _check_options(*, as_user: bool, as_system: bool, run_as: str, groups: str) -> None:
    """Refuses options that exclude each other.

    Raises:
        typer.BadParameter: They do.
    """
    if as_user and as_system:
        raise typer.BadParameter("--user and --system exclude each other")
    if as_user and run_as:
        raise typer.BadParameter("--run-as is for --system alone: a user's manager runs what is that user's")
    if as_user and groups:
        raise typer.BadParameter("--groups is for --system alone: a user's service has that user's groups")


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


def _others(file: Path, unit: Unit) -> Iterator[str]:
    """What to do about other units of the same agent."""
    where = " --user" if unit.scope == "user" else ""
    for other in units_of(file.parent, unit.config):
        if other != file:
            yield (
                f"{other} runs {unit.config}, too: two agents would log in as one device. Remove it:"
                f" iotxmpp agent install{where} {shlex.quote(str(unit.config))} --uninstall --name"
                f" {other.stem} --now"
            )


def _missing(unit: Unit) -> Iterator[str]:
    """What to do about credentials that are not there: the service would not start."""
    for name, path in unit.credentials.items():
        try:
            is_there = path.exists()
        except OSError:  # it is not for this user to see
            continue
        if not is_there and path.parent == CREDENTIAL_STORE:
            line = f"sudo install -D -m 600 /dev/stdin {path}"
            yield f"The password is to be in {path}, which holds credential {name}: {line}"
        elif not is_there:
            yield f"There is no account's file {path}: the service does not start without it"


def _commands(unit: Unit, *, is_new: bool) -> list[str]:
    """What is to be run then; a service that may run already is started anew, by its new unit."""
    by_user = unit.scope == "user"
    control = "systemctl --user" if by_user else f"{_sudo()}systemctl"
    start = ["enable --now"] if is_new else ["enable", "restart"]
    # A user's manager ends with the last login, unless it lingers.
    linger = ["loginctl enable-linger"] if by_user else []
    return [f"{control} daemon-reload", *(f"{control} {each} {unit.name}" for each in start), *linger]


def _sudo() -> str:
    return "" if os.geteuid() == _ROOT else "sudo "


def _uninstall(config: Path, *, name: str, user: bool, now: bool, force: bool) -> None:
    """Removes a unit; one that is named needs no agent's file.

    Raises:
        ConfigError: Which one is meant cannot be told, or it was changed, or cannot be removed.
    """
    from iotxmpp.doctor.device import read_device

    folder = folder_of(user=user)
    units = units_of(folder, config)
    ours = " or ".join(f"--name {file.stem}" for file in units)
    try:
        device = "" if name else read_device(config).id
    except ConfigError as error:
        raise ConfigError(f"{error}; mend it, or give the unit's name: {ours or '--name NAME'}") from error
    file = folder / f"{check_name(unit_name(name, device))}.service"
    if file.exists() and (name or file in units):
        if not force:
            check_change(file)
        _remove(file, user=user, now=now)
    elif ours and not name:
        what = "is not of it" if file.exists() else "is not there"
        raise ConfigError(f"{file} {what}, but {config} has another unit: give {ours}")
    elif file.exists():  # another agent's, perhaps: without the account nothing tells this one's name
        whose = config_of(unit_text(file))
        runs = f"{config.absolute()}, but {whose}" if whose else f"{config.absolute()}"
        raise ConfigError(f"{file} does not run {runs}; to remove it all the same, give --name {file.stem}")
    else:
        typer.echo(f"{file} is not there")


def _remove(file: Path, *, user: bool, now: bool) -> None:
    control = "systemctl --user" if user else "systemctl"
    if now:
        _run(f"{control} disable --now {file.stem}")
    remove_unit(file)
    typer.echo(f"{file} is removed; what the agent kept stays in its state directory")
    # `disable` would not find it any more; what runs is stopped all the same.
    before = [] if now else [f"{control} stop {file.stem}"]
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
