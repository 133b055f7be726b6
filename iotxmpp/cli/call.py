"""`iotxmpp call`: calls one command on one device."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from iotxmpp.addresses import DeviceNodes, bare_jid, device_id, domain, local_part
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
from iotxmpp.validation import explain
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.about import About
    from iotxmpp.account import Account
    from iotxmpp.link import Link, Presence

_APPEARS_WITHIN = 5.0


def call(
    device: Annotated[str, typer.Argument(help="The device's id, or its JID.")],
    command: Annotated[str, typer.Argument(help="The command's name.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments as key=value.")] = None,
    account: AccountOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1)] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Call a command on a device and print its result."""
    ours = chosen_account(account, "controller")
    jid = bare_jid(device) if "@" in device else f"{device_id(device)}@{domain(ours.jid)}"
    given = _split(arguments or [])
    result = asyncio.run(_call(ours, jid, command, given, timeout))
    if as_json or result is not None:
        typer.echo(_shown(result, as_json=as_json))


async def _call(ours: "Account", jid: str, command: str, given: Mapping[str, str], timeout: float) -> object:
    from iotxmpp.controller.calls import call_command
    from iotxmpp.xmpp import XmppLink

    session: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def seen(presence: "Presence") -> None:
        if presence.available and presence.sender.partition("/")[0] == jid and not session.done():
            session.set_result(presence.sender)

    link = XmppLink(ours)
    link.on_presence(seen)
    async with link:
        about = await _about(link, ours.service, jid)
        if command not in about.commands:
            known = ", ".join(sorted(about.commands)) or "none"
            raise UnknownCommandError(f"{about.device} has no command {command!r}; it has: {known}")
        values = typed_arguments(given, about.commands[command].arguments)
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


def _split(arguments: list[str]) -> dict[str, str]:
    pairs = {}
    for text in arguments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ArgumentsError(f"argument {text!r}: write it as key=value, such as seconds=20")
        if key in pairs:
            raise ArgumentsError(f"argument {key!r} is given twice")
        pairs[key] = value
    return pairs


def typed_arguments(given: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Text from the command line as the JSON values that a command's schema asks for.

    What the schema calls a string stays as it is; anything else is read as JSON where it is JSON. The device
    checks the result.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    return {name: _value(text, properties.get(name, {})) for name, text in given.items()}


def _value(text: str, schema: Mapping[str, Any]) -> object:
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text, parse_constant=lambda word: word)
    except (ValueError, RecursionError):
        return text
