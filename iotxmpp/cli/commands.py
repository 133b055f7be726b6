"""`iotxmpp commands`: the commands that wait for devices at the running controller."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotxmpp.cli.by_desk import FOUND_WITHIN, ControllerOption, opened_desk
from iotxmpp.cli.exits import Exit
from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account, named_device
from iotxmpp.cli.output import print_json, print_list, show_time, shown_json
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.account import Account

app = typer.Typer(
    help="See the commands that wait for devices, and cancel them; the controller must run.",
    no_args_is_help=True,
)

IdArgument = Annotated[str, typer.Argument(help="The command's id, as `list` shows it.")]

_COLUMNS = ("id", "device", "command", "state", "by", "created", "expires", "text")


@app.command("list")
def list_(
    device: Annotated[str | None, typer.Option(help="Only of this device.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only in this state: queued, sent, done, failed, rejected, expired, cancelled or unknown."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1, max=1000)] = 100,
    account: AccountOption = None,
    controller: ControllerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest commands, the oldest of them first."""
    asked: dict[str, Any] = {"limit": limit}
    if device is not None:
        asked["device"] = named_device(device)
    if state is not None:
        asked["state"] = state
    found = _ask(chosen_account(account, "controller"), controller, "commands", asked)
    print_list(found, _COLUMNS, row=_row, nothing="no commands", as_json=as_json)


@app.command("show")
def show(
    id_: IdArgument,
    account: AccountOption = None,
    controller: ControllerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one command, with its arguments and its result."""
    found = _ask(chosen_account(account, "controller"), controller, "command", {"id": id_})
    if as_json:
        print_json(found)
        return
    for key, value in {**found, **_times(found)}.items():
        text = printable(value) if isinstance(value, str) else shown_json(value)
        typer.echo(f"{key:10} {text}")


@app.command("cancel")
def cancel(
    id_: IdArgument,
    account: AccountOption = None,
    controller: ControllerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a command that was not started; the exit code is 1 where it was too late."""
    answer = _ask(chosen_account(account, "controller"), controller, "cancel", {"id": id_})
    command = answer["command"]
    if as_json:
        print_json(answer)
    elif answer["cancelled"]:
        typer.echo(f"{id_}: cancelled", err=True)
    else:
        typer.echo(f"{id_}: not cancelled, it is {command['state']}", err=True)
    if not answer["cancelled"]:
        raise typer.Exit(Exit.FAILED)


def _ask(ours: "Account", controller: str | None, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    return asyncio.run(_asked(ours, controller, command, arguments))


async def _asked(
    ours: "Account", controller: str | None, command: str, arguments: Mapping[str, Any]
) -> object:
    async with opened_desk(ours, controller, within=FOUND_WITHIN) as ask:
        return await ask(command, arguments)


def _row(command: Mapping[str, Any]) -> dict[str, Any]:
    return {**command, **_times(command), "command": command["name"]}


def _times(command: Mapping[str, Any]) -> dict[str, str]:
    names = ("created", "expires", "updated", "first_sent")
    return {name: show_time(command[name]) for name in names if command.get(name) is not None}
