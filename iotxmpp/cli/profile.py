"""`iotxmpp profile`: kinds of devices, shipped and of one's own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotxmpp.cli.exits import Exit
from iotxmpp.cli.options import JsonOption
from iotxmpp.cli.output import print_json, print_table, shown_json
from iotxmpp.errors import ConfigError
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.profiles import Profile

app = typer.Typer(help="Kinds of devices: list, show, check and start them.", no_args_is_help=True)

ProfileArgument = Annotated[str, typer.Argument(help="A shipped profile's name, or a .toml file.")]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the profiles that come along."""
    import device_profiles

    profiles = [device_profiles.load(name) for name in device_profiles.names()]
    if as_json:
        print_json([_summary(profile) for profile in profiles])
        return
    rows = [
        {
            "profile": profile.id,
            "what": profile.title,
            "driver": profile.driver.kind,
            "channels": ", ".join(profile.readings),
            "commands": ", ".join(profile.commands),
        }
        for profile in profiles
    ]
    print_table(rows, ("profile", "what", "driver", "channels", "commands"))


@app.command("show")
def show(
    name: ProfileArgument,
    as_json: JsonOption = False,
    as_toml: Annotated[bool, typer.Option("--toml", metavar="", help="Print its TOML, to copy.")] = False,
) -> None:
    """Show a profile."""
    profile = _load(name)
    if as_toml:
        typer.echo(_text(name), nl=False)
    elif as_json:
        print_json(profile.model_dump(mode="json", by_alias=True))
    else:
        _show(profile)


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Profiles to check.")], as_json: JsonOption = False
) -> None:
    """Check profiles; every fault is told with its file, its key and the fix. Exit code 2 if there is one."""
    from iotxmpp.cli.profile_check import checked

    results = [checked(file) for file in files]
    if as_json:
        print_json([each.as_json() for each in results])
    else:
        for each in results:
            if not each.faults:
                typer.echo(printable(each.summary))
            for fault in (*each.faults, *each.notes):
                typer.echo(printable(fault), err=True)
    if any(each.faults for each in results):
        raise typer.Exit(Exit.USAGE)


@app.command("new")
def new(  # what a profile can start from
    name: Annotated[str, typer.Argument(metavar="ID", help="The new kind's id: a-z, 0-9 and -.")],
    extends: Annotated[
        str | None,
        typer.Option(help="Stand on this one: a shipped name, or a .toml file beside the new one."),
    ] = None,
    driver: Annotated[str | None, typer.Option(help="Its driver; simulated unless given.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; ID.toml unless given, - for none.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Overwrite the file.")] = False,
) -> None:
    """Write a profile to start from."""
    target = output or Path(f"{name}.toml")
    text = _starter(name, extends, driver, target.parent)
    if str(target) == "-":
        typer.echo(text, nl=False)
        return
    _write(target, text, force=force)
    typer.echo(f"{target}; now edit it, and: iotxmpp profile check {target}", err=True)


@app.command("schema")
def schema(
    agent: Annotated[
        bool, typer.Option("--agent", metavar="", help="That of an agent's file instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of profiles, for editors."""
    from iotxmpp.cli.schemas import agent_schema, profile_schema

    typer.echo(shown_json(agent_schema() if agent else profile_schema(), indent=2))


def _load(name: str) -> "Profile":
    import device_profiles

    return device_profiles.load_file(name) if name.endswith(".toml") else device_profiles.load(name)


def _text(name: str) -> str:
    import device_profiles
    from iotxmpp.tables import read_text

    return read_text(Path(name)) if name.endswith(".toml") else device_profiles.text_of(name)


def _summary(profile: "Profile") -> dict[str, Any]:
    return {
        "id": profile.id,
        "version": profile.version,
        "title": profile.title,
        "driver": profile.driver.kind,
        "channels": {name: channel.unit for name, channel in profile.channels().items()},
        "commands": list(profile.commands),
    }


def _show(profile: "Profile") -> None:
    settings = ", ".join(f"{key} = {shown_json(value)}" for key, value in profile.driver.settings.items())
    typer.echo(printable(f"{profile.id} {profile.version}: {profile.title}"))
    typer.echo(printable(profile.description))
    if profile.extends:
        typer.echo(printable(f"extends {profile.extends}"))
    typer.echo(printable(f"driver {profile.driver.kind}{f': {settings}' if settings else ''}"))
    rows = [
        {
            "channel": name if kind.count is None else f"{name}/1 to {name}/{kind.count}",
            "type": kind.type,
            "unit": kind.unit or "",
            "range": "" if kind.range is None else f"{kind.range[0]:.10g} to {kind.range[1]:.10g}",
            "every": "" if kind.every is None else f"{kind.every:g} s",
            "description": kind.description,
        }
        for name, kind in profile.readings.items()
    ]
    if rows:
        print_table(rows, ("channel", "type", "unit", "range", "every", "description"))
    for name, command in profile.commands.items():
        typer.echo(printable(f"{name}: {command.description}"))
        for key, argument in command.args.items():
            unit = f" in {argument.unit}" if argument.unit else ""
            needed = "" if argument.required else ", optional"
            typer.echo(printable(f"  {key}: {argument.type}{unit}{needed}. {argument.description}"))


def _starter(name: str, extends: str | None, driver: str | None, folder: Path) -> str:
    """The text of a new profile, which passes the check.

    Raises:
        ConfigError: The id, the parent or the driver is wrong.
    """
    import device_profiles
    from iotxmpp.agent.drivers import driver_kinds
    from iotxmpp.cli import starters
    from iotxmpp.faulttexts import guess

    place = Path(device_profiles.__file__).with_name("schema.json").as_uri()
    if extends is not None:
        if driver is not None:
            raise ConfigError("--extends and --driver: give one of the two; a parent has its driver")
        beside = extends.endswith(".toml")
        parent = device_profiles.load_file(folder / extends) if beside else device_profiles.load(extends)
        text = starters.extending(name, parent, extends, schema=place)
    else:
        kind = driver or "simulated"
        known = sorted({*starters.KINDS, *driver_kinds()})
        if kind not in known:
            raise ConfigError(f"--driver: no driver {kind!r}{guess(kind, known)}")
        text = starters.starter(name, kind, schema=place)
    _check_id(name)
    return text


def _check_id(name: str) -> None:
    from iotxmpp.profiles import profile_of

    table = {"schema": 1, "id": name, "version": "1.0.0", "driver": {"kind": "simulated"}}
    profile_of(table, "ID")


def _write(target: Path, text: str, *, force: bool) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL), 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{target}: it is there; choose another --output, or give --force") from error
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error}") from error
