"""`iotxmpp call`: calls one command on one device, or on many."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from iotxmpp.addresses import DeviceNodes, bare_jid, device_id, domain, local_part
from iotxmpp.cli.by_desk import Waits
from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account
from iotxmpp.cli.output import shown_json
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    DeviceAwayError,
    ForbiddenError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnknownCommandError,
    UnknownDeviceError,
)
from iotxmpp.textargs import split_pairs, typed_arguments
from iotxmpp.validation import explain
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.about import About
    from iotxmpp.account import Account
    from iotxmpp.cli.by_desk import DeskCalls
    from iotxmpp.cli.progress import Bar
    from iotxmpp.link import Link, Message, Presence

_APPEARS_WITHIN = 5.0
_IN_FLIGHT = 50


def call(
    device: Annotated[str, typer.Argument(help="The device's id, or its JID; left out with --where.")],
    command: Annotated[str | None, typer.Argument(help="The command's name.")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments as key=value.")] = None,
    where: Annotated[
        str | None,
        typer.Option(help="Call all devices that are so: 'profile=relay4 and site=north'."),
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(help="With --where: calls at one time; 50 unless given.", min=1)
    ] = None,
    stop_after_failures: Annotated[
        int | None, typer.Option(help="With --where: start no more after so many failures.", min=1)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", metavar="", help="With --where: show which devices are meant; send nothing."
        ),
    ] = False,
    settle: Annotated[
        float | None,
        typer.Option(help="With --where: seconds at most to learn how devices are; 5 unless given.", min=0.1),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="With --where: a store with last readings, as a SQLAlchemy URL.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(help="Have the running controller wait so long for the device, such as 6h.")
    ] = None,
    controller: Annotated[
        str | None,
        typer.Option(
            help="Call through this running controller, by its JID; the account's own with --ttl alone."
        ),
    ] = None,
    account: AccountOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1)] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Call a command on a device and print its result; with --where, on many devices."""
    if store is not None and (ttl or controller):
        raise ArgumentsError(
            "--store is for direct calls: with --ttl or --controller, the controller chooses"
        )
    if where is not None:
        from iotxmpp.cli.call_where import Many, call_where
        from iotxmpp.where import parse_where

        many = Many(
            where=parse_where(where),
            command=device,
            given=split_pairs([*([] if command is None else [command]), *(arguments or [])]),
            max_in_flight=max_in_flight or _IN_FLIGHT,
            stop_after_failures=stop_after_failures,
            timeout=timeout,
            settle=settle or _APPEARS_WITHIN,
            dry_run=dry_run,
            as_json=as_json,
        )
        ours = chosen_account(account, "controller")
        raise typer.Exit(call_where(ours, many, store=store, waits=Waits.of(ttl, controller, ours, timeout)))
    if command is None:
        raise typer.BadParameter("Missing argument 'command'.")
    _check_single(
        {
            "--max-in-flight": max_in_flight,
            "--stop-after-failures": stop_after_failures,
            "--dry-run": dry_run or None,
            "--settle": settle,
            "--store": store,
        }
    )
    from iotxmpp.controller.desk_client import Unread

    ours = chosen_account(account, "controller")
    jid = bare_jid(device) if "@" in device else f"{device_id(device)}@{domain(ours.jid)}"
    waits = Waits.of(ttl, controller, ours, timeout)
    result = asyncio.run(_call(ours, jid, command, split_pairs(arguments or []), timeout, waits))
    if isinstance(result, Unread):
        typer.echo(printable(str(result)), err=True)
    elif as_json or result is not None:
        typer.echo(_shown(result, as_json=as_json))


def _check_single(many: Mapping[str, object]) -> None:
    """Raises ArgumentsError for options that are for many devices."""
    for option, given in many.items():
        if given is not None:
            raise ArgumentsError(f"{option} is for --where, such as --where id=NAME")


async def _call(
    ours: "Account", jid: str, command: str, given: Mapping[str, str], timeout: float, waits: Waits | None
) -> object:
    from iotxmpp.cli.progress import Bar
    from iotxmpp.xmpp import XmppLink

    link = XmppLink(ours)
    with Bar(command) as bar:
        session = _sessions(link, jid, bar)
        async with link:
            if waits is not None:
                return await _call_by_desk(await waits.desk(link), jid, command, given)
            values = _values(await _about(link, ours.service, jid), command, given)
            return await _call_session(link, jid, session, command, values, timeout)


async def _call_by_desk(desk: "DeskCalls", jid: str, command: str, given: Mapping[str, str]) -> object:
    """Calls it through the controller, by what that knows: the account itself may not read the device."""
    device = await desk.device(device_id(local_part(jid)), command)
    if device.about is None:
        raise DeviceAwayError(f"{device.id} has never been online; the command was not sent")
    if not (desk.waits or device.online):
        raise DeviceAwayError(f"{device.id} is {device.state}; the command was not sent")
    return await desk.call(device.id, command, _values(device.about, command, given))


def _values(about: "About", command: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The arguments as the device's description says."""
    if command not in about.commands:
        known = ", ".join(sorted(about.commands)) or "none"
        raise UnknownCommandError(f"{about.device} has no command {command!r}; it has: {known}")
    return typed_arguments(given, about.commands[command].arguments)


def _sessions(link: "Link", jid: str, bar: "Bar") -> "asyncio.Future[str]":
    """The full JID of the device's session, once it appears; its messages move the bar from then on."""
    from iotxmpp.commands import read_progress

    session: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def seen(presence: "Presence") -> None:
        if presence.available and presence.sender.partition("/")[0] == jid and not session.done():
            session.set_result(presence.sender)

    async def told(message: "Message") -> None:
        # Only the session that is called is believed, and this link calls nothing else.
        progress = read_progress(message.extensions)
        if progress is not None and session.done() and message.sender == session.result():
            bar.show(progress.fraction, progress.text)

    link.on_presence(seen)
    link.on_message(told)
    return session


async def _call_session(
    link: "Link",
    jid: str,
    session: "asyncio.Future[str]",
    command: str,
    values: Mapping[str, Any],
    timeout: float,
) -> object:
    from iotxmpp.controller.calls import call_command

    await link.follow(jid)
    try:
        async with asyncio.timeout(_APPEARS_WITHIN):
            full = await session
    except TimeoutError:
        raise DeviceAwayError(f"{jid} is not online; the command was not sent") from None
    return await call_command(link, full, command, values, timeout=timeout)


async def _about(link: "Link", service: str, jid: str) -> "About":
    from iotxmpp.about import About
    from iotxmpp.payloads import json_text

    name = device_id(local_part(jid))
    node = DeviceNodes(service=service, device=name).about
    try:
        items = await link.items(node)
    except NotFoundError as error:
        raise UnknownDeviceError(
            f"there is no device {name} at {service} ({error}); `iotxmpp device list` shows those that are"
        ) from error
    except ForbiddenError as error:
        raise NotAllowedError(
            f"there is no device {name} at {service}, or this account may not read it: check the name with"
            " `iotxmpp device list`, or give the account of the device's controller with --account"
            f" ({link.jid.partition('/')[0]}: {error})"
        ) from error
    payload = items[-1].payload if items else None
    if payload is None:
        raise DeviceAwayError(f"{jid} has never been online; the command was not sent")
    try:
        return About.model_validate_json(json_text(payload))
    except ValidationError as error:
        raise InvalidError(explain(error, f"the description of {jid}")) from error


def _shown(result: object, *, as_json: bool) -> str:
    if isinstance(result, str) and not as_json:
        # Standard output holds nothing else, so there is no line to forge: a report keeps its lines.
        return printable(result, keep="\n\t")
    try:
        return shown_json(result, indent=None if as_json else 2)
    except (ValueError, RecursionError) as error:  # NaN, or lists in lists in lists
        raise CommandError(
            f"the command ran, but its result is no JSON that can be shown: {error}"
        ) from error
