"""`iotxmpp commands`: the commands that wait for devices at the running controller."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotxmpp.cli.by_desk import FOUND_WITHIN, ControllerOption, opened_desk
from iotxmpp.cli.exits import Exit
from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account, named_device
from iotxmpp.cli.output import print_json, print_list, show_time, shown_json
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.account import Account
    from iotxmpp.controller.desk_read import Ask

app = typer.Typer(
    help="See the commands that wait for devices, and cancel them; the controller must run.",
    no_args_is_help=True,
)

IdArgument = Annotated[str, typer.Argument(help="The command's id, or how it begins, as `list` shows it.")]

_COLUMNS = ("id", "device", "command", "state", "by", "created", "expires", "text")
_SHORTEST_ID = 8


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
    asked: dict[str, Any] = {}
    if device is not None:
        asked["device"] = named_device(device)
    if state is not None:
        asked["state"] = state

    async def read(ask: "Ask") -> Any:  # noqa: ANN401  # JSON
        from iotxmpp.controller.desk_read import read_commands

        return await read_commands(ask, asked, limit)

    found = _asked(chosen_account(account, "controller"), controller, read)
    short = short_ids([each["id"] for each in found])
    print_list(
        found,
        _COLUMNS,
        row=lambda each: _row(each, short),
        nothing="no commands",
        as_json=as_json,
        whole=("id",),
    )


@app.command("show")
def show(
    id_: IdArgument,
    account: AccountOption = None,
    controller: ControllerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one command, with its arguments and its result."""

    async def read(ask: "Ask") -> Any:  # noqa: ANN401  # JSON
        from iotxmpp.controller.desk_read import read_command

        return await read_command(ask, id_)

    found = _asked(chosen_account(account, "controller"), controller, read)
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

    async def read(ask: "Ask") -> Any:  # noqa: ANN401  # JSON
        return await ask("cancel", {"id": id_})

    from iotxmpp.controller.queued import CANCELLING

    answer = _asked(chosen_account(account, "controller"), controller, read)
    command = answer["command"]
    if as_json:
        print_json(answer)
    elif answer["cancelled"]:
        typer.echo(f"{command['id']}: cancelled", err=True)
    elif command["state"] == "sent" and command["reason"] == CANCELLING:
        typer.echo(
            f"{command['id']}: not cancelled yet, it was sent; it is taken back once the device is there",
            err=True,
        )
    else:
        typer.echo(f"{command['id']}: not cancelled, it is {command['state']}", err=True)
    if not answer["cancelled"]:
        raise typer.Exit(Exit.FAILED)


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """How each of some ids begins, as far as that tells it from the others: 8 characters at least."""
    ordered = sorted(set(ids))
    short = {}
    for before, id_, after in zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False):
        same = max(_same(id_, other) for other in (before, after))
        short[id_] = id_[: max(_SHORTEST_ID, same + 1)]
    return short


def _same(one: str, other: str) -> int:
    """How many characters two ids have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _asked(ours: "Account", controller: str | None, read: "Callable[[Ask], Awaitable[Any]]") -> Any:  # noqa: ANN401  # JSON
    async def ask_and_read() -> object:
        async with opened_desk(ours, controller, within=FOUND_WITHIN) as ask:
            return await read(ask)

    return asyncio.run(ask_and_read())


def _row(command: Mapping[str, Any], short: Mapping[str, str]) -> dict[str, Any]:
    return {**command, **_times(command), "id": short[command["id"]], "command": command["name"]}


def _times(command: Mapping[str, Any]) -> dict[str, str]:
    names = ("created", "expires", "updated", "first_sent")
    return {name: show_time(command[name]) for name in names if command.get(name) is not None}
