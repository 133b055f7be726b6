"""`iotxmpp twin`: shows and changes the settings of a device, through the controller that runs."""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotxmpp.cli.by_desk import ControllerOption, opened_desk
from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account, named_device
from iotxmpp.cli.output import print_json, print_table, shown_json
from iotxmpp.durations import duration
from iotxmpp.errors import ArgumentsError, CommandFailedError, DeviceAwayError, NoAnswerError
from iotxmpp.twin import STILL

if TYPE_CHECKING:
    from iotxmpp.account import Account

app = typer.Typer(help="Show and change the settings of a device.", no_args_is_help=True)

ANSWERS_WITHIN = 10.0
"""Seconds that the controller has to say that it runs."""

_LOOKS = 0.2

DeviceArgument = Annotated[str, typer.Argument(help="The device's id, or its JID.")]


@app.command("get")
def get(
    device: DeviceArgument,
    account: AccountOption = None,
    controller: ControllerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a device's settings should be, and what they are."""
    ours = chosen_account(account, "controller")
    shown = asyncio.run(_get(ours, controller, named_device(device), whole=as_json))
    _show(shown, as_json=as_json)


@app.command("set")
def set_(
    device: DeviceArgument,
    settings: Annotated[list[str] | None, typer.Argument(help="Settings as name=value.")] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Take this setting away: its default holds; can be given several times."),
    ] = None,
    wait: Annotated[
        str | None, typer.Option(help="Wait so long, such as 10s, until the device has applied them.")
    ] = None,
    account: AccountOption = None,
    controller: ControllerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings of a device, now or as soon as it is there."""
    from iotxmpp.textargs import split_pairs

    given = split_pairs(settings or [])
    both = sorted(given.keys() & set(remove or ()))
    if both:
        raise ArgumentsError(f"setting {both[0]!r} is both given and taken away; choose one")
    if not given and not remove:
        raise ArgumentsError("give a setting to change as name=value, such as every/temperature=10")
    seconds = None if wait is None else duration(wait, "--wait")
    ours = chosen_account(account, "controller")
    shown = asyncio.run(_set(ours, controller, named_device(device), given, remove or [], seconds))
    _show(shown, as_json=as_json)
    if seconds is not None:
        check_applied(shown, seconds, {*given, *(remove or ())})


def check_applied(shown: Mapping[str, Any], seconds: float, names: Collection[str]) -> None:
    """Raises what says why the settings that were changed do not hold, if they do not.

    Args:
        shown: The twin, as the controller's desk shows it.
        seconds: How long was waited.
        names: What was changed; what the device refused earlier of others is no fault of this change.

    Raises:
        CommandFailedError: The device refused some.
        DeviceAwayError: It is away, and gets them when it is back.
        NoAnswerError: It is there, and did not report in time.
    """
    where = f"settings of {shown['device']}"
    if shown["settled"]:
        whys = "; ".join(f"{name}: {why}" for name, why in sorted(shown["refused"].items()) if name in names)
        if whys:
            raise CommandFailedError(f"{where}: refused: {whys}")
        return
    text = f"{where}: version {shown['desired_version']} is kept, but was not applied within {seconds:g} s"
    if shown["state"] in {"online", "stale"}:
        raise NoAnswerError(text)
    raise DeviceAwayError(f"{text}: the device is {shown['state']}, and gets it when it is back")


async def _get(ours: "Account", controller: str | None, name: str, *, whole: bool) -> dict[str, Any]:
    from iotxmpp.controller.desk_read import read_twin

    async with opened_desk(ours, controller, within=ANSWERS_WITHIN) as ask:
        return await read_twin(ask, await ask("twin", {"device": name}), whole=whole)


async def _set(  # what one change is
    ours: "Account",
    controller: str | None,
    name: str,
    given: Mapping[str, str],
    remove: list[str],
    seconds: float | None,
) -> dict[str, Any]:
    from iotxmpp.controller.desk_read import read_twin

    async with opened_desk(ours, controller, within=ANSWERS_WITHIN) as ask:

        async def look() -> dict[str, Any]:
            return await read_twin(ask, await ask("twin", {"device": name}))

        settings = {**typed_settings(given, (await look())["settings"]), **dict.fromkeys(remove)}
        shown = await read_twin(ask, await ask("desire", {"device": name, "settings": settings}))
        until = time.monotonic() + (seconds or 0.0)
        while not is_over(shown, settings) and time.monotonic() < until:
            await asyncio.sleep(_LOOKS)
            shown = await look()
        return shown


def is_over(shown: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether the device has said what became of some settings: not while one is still being applied."""
    waits = any(shown["refused"].get(name, "").startswith(STILL) for name in names)
    return bool(shown["settled"]) and not waits


def typed_settings(given: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Text from the command line as the JSON values that the device's settings ask for.

    Args:
        given: Text by name.
        known: What the device says of its settings, by name; its `value` is a JSON Schema.
    """
    from iotxmpp.textargs import typed_arguments

    return typed_arguments(given, {"properties": {name: each["value"] for name, each in known.items()}})


def _show(shown: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    print_table(rows_of(shown), ("setting", "desired", "reported", "note"))
    state = "in sync" if shown["in_sync"] else "settled" if shown["settled"] else "not applied yet"
    typer.echo(
        f"{shown['device']} is {shown['state']}; version {shown['desired_version']} is desired,"
        f" {shown['reported_version']} reported: {state}"
    )


def rows_of(shown: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row for each setting that is known, desired, or reported."""
    refused = shown["refused"]
    names = sorted({*shown["settings"], *shown["desired"], *shown["reported"], *refused})
    return [
        {
            "setting": name,
            "desired": _value(shown, "desired", name),
            "reported": _value(shown, "reported", name),
            "note": f"refused: {refused[name]}" if name in refused else "",
        }
        for name in names
    ]


def _value(shown: Mapping[str, Any], state: str, name: str) -> str:
    """A value as the table shows it; of a long one how it begins, and how long it is."""
    if name not in shown[state]:
        return ""
    size = shown.get("shortened", {}).get(state, {}).get(name, 0)
    if size:
        return f"{shown[state][name]} ({size} characters; --json shows all)"
    return shown_json(shown[state][name])
