"""`iotxmpp outbox`: what waits on this device, and what could not be delivered."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotxmpp.cli.device_files import ConfigOption, outbox_of_account, outbox_of_agent_file
from iotxmpp.cli.options import JsonOption, chosen_account
from iotxmpp.cli.output import print_json, print_table, show_age, show_value
from iotxmpp.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotxmpp.agent.outbox.rows import DeadLetter

app = typer.Typer(
    help="See what waits on this device, and what could not be delivered.", no_args_is_help=True
)

FileOption = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="The outbox's file; else that of --config, else of the account."),
]
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
        print_table(
            [_described(each) for each in letters],
            ("name", "channel", "shown", "reason", "retry"),
            whole=("name",),
        )


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

    _settle(inspection.retry, _path(file, config, account), names, "to be tried again", as_json=as_json)


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

    _settle(inspection.drop, _path(file, config, account), names, "forgotten", as_json=as_json)


def _path(file: Path | None, config: Path | None, account: Path | None) -> Path:
    if file is not None:
        return file
    if config is not None:
        return outbox_of_agent_file(config, "; nobody else can see it")
    return outbox_of_account(chosen_account(account, "device"))


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


def _settle(
    settle: "Callable[[Path, list[DeadLetter]], None]",
    path: Path,
    names: list[str] | None,
    done: str,
    *,
    as_json: bool,
) -> None:
    """Does something with dead letters, and tells what was done with how many."""
    letters = _named(path, names)
    settle(path, letters)
    if as_json:
        print_json([_described(each) for each in letters])
    else:
        typer.echo(f"{len(letters)} {done}", err=True)


def _age(oldest: float | None, now: float) -> str:
    return "unknown" if oldest is None else show_age(now - oldest)
