"""`iotxmpp outbox`: what waits on this device, and what could not be delivered."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotxmpp.cli.options import JsonOption, chosen_account
from iotxmpp.cli.output import print_json, print_table, show_age, show_value
from iotxmpp.errors import InvalidError

if TYPE_CHECKING:
    from iotxmpp.agent.outbox.rows import DeadLetter

app = typer.Typer(
    help="See what waits on this device, and what could not be delivered.", no_args_is_help=True
)

FileOption = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="The outbox's file; else that of --config, else of the account."),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="The device's agent.toml.")]
AccountOption = Annotated[Path | None, typer.Option("--account", "-a", help="The device's account file.")]
Names = Annotated[
    list[str] | None, typer.Argument(help="Dead letters, as `list` names them; all unless given.")
]


@app.command("list")
def list_(
    file: FileOption = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what waits by channel, what is lost, and the dead letters."""
    from iotxmpp.agent.outbox.inspection import dead_letters, lost, waiting

    path = _path(file, config, account)
    channels, losses, letters = waiting(path), lost(path), dead_letters(path)
    if as_json:
        print_json(
            {
                "file": str(path),
                "waiting": [each._asdict() for each in channels],
                "lost": [each._asdict() for each in losses],
                "dead": [_described(each) for each in letters],
            }
        )
        return
    typer.echo(f"{path}: {sum(each.readings for each in channels)} readings wait")
    now = time.time()
    rows = [each._asdict() | {"oldest": _age(each.oldest, now)} for each in channels]
    if rows:
        print_table(rows, ("channel", "readings", "bytes", "oldest"))
    if losses:
        typer.echo("given up, and not known to the collector yet:")
        print_table([each._asdict() for each in losses], ("epoch", "first", "last", "reason"))
    if letters:
        typer.echo("dead letters:")
        print_table([_described(each) for each in letters], ("name", "channel", "shown", "reason", "retry"))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A dead letter, as `list` names it.")],
    file: FileOption = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter."""
    letter = _described(_named(_path(file, config, account), [name])[0])
    if as_json:
        print_json(letter)
        return
    for key, value in letter.items():
        typer.echo(f"{key:8} {value}")


@app.command("retry")
def retry(
    names: Names = None,
    file: FileOption = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish dead letters again, under new numbers; a running agent does so within half a minute."""
    from iotxmpp.agent.outbox import inspection

    path = _path(file, config, account)
    letters = _named(path, names)
    inspection.retry(path, letters)
    _tell(letters, "to be tried again", as_json=as_json)


@app.command("drop")
def drop(
    names: Names = None,
    file: FileOption = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget dead letters for good."""
    from iotxmpp.agent.outbox import inspection

    path = _path(file, config, account)
    letters = _named(path, names)
    inspection.drop(path, letters)
    _tell(letters, "forgotten", as_json=as_json)


def _path(file: Path | None, config: Path | None, account: Path | None) -> Path:
    from iotxmpp.addresses import device_id
    from iotxmpp.agent.outbox.settings import FILE_NAME, state_directory

    if file is not None:
        return file
    if config is not None:
        from iotxmpp.agent.config import load_agent

        path = load_agent(config).outbox_path
        if path is None:
            raise InvalidError(f"agent file {config}: its outbox is in memory; nobody else can see it")
        return path
    chosen = chosen_account(account, "device")
    return state_directory(chosen.jid, device_id(chosen.name)) / FILE_NAME


def _named(path: Path, names: list[str] | None) -> "list[DeadLetter]":
    from iotxmpp.agent.outbox.inspection import dead_letters, name_of

    letters = {name_of(each): each for each in dead_letters(path)}
    for name in names or ():
        if name not in letters:
            raise InvalidError(f"outbox {path}: no dead letter {name!r}; see: iotxmpp outbox list")
    return [letters[name] for name in names] if names else list(letters.values())


def _described(letter: "DeadLetter") -> dict[str, Any]:
    from iotxmpp.agent.outbox.inspection import name_of

    row = letter.row
    return {
        "name": name_of(letter),
        "channel": row.channel,
        "value": row.value,
        "unit": row.unit,
        "shown": show_value(row.value, row.unit)[:40],
        "time": None if row.clock == "r" else row.time,
        "clock": row.clock,
        "reason": letter.reason,
        "retry": letter.retry,
    }


def _tell(letters: "list[DeadLetter]", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json([_described(each) for each in letters])
    else:
        typer.echo(f"{len(letters)} {what}", err=True)


def _age(oldest: float | None, now: float) -> str:
    return "unknown" if oldest is None else show_age(now - oldest)
