"""Asks the desk of a running controller."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.addresses import bare_jid
from iotxmpp.controller.calls import call_command
from iotxmpp.controller.queued import QueuedCommand
from iotxmpp.durations import duration
from iotxmpp.errors import CommandError, DeviceAwayError, LinkDownError, NoAnswerError
from iotxmpp.fleet import CONTROLLER_TAG, SEEK_TAG
from iotxmpp.link import REQUEST_TIMEOUT, Link, Message, MessageKind

GRACE = 90.0
"""Seconds beyond a command's time to live after which the desk knows what became of it."""

_FIND_AGAIN = 5.0
_ASK_AGAIN = 1.0
_FIRST_LOOK = 0.1
_RAREST_LOOK = 2.0


async def find_controller(link: Link, jid: str, timeout: float = 5.0) -> str:
    """The full JID of the session of a running controller.

    Asks all sessions of its account which of them is the controller; what the link sees of presence stays
    as it is, and nobody is asked for a subscription.

    Args:
        link: An open link: of the controller's own account, or of one that has a role at it.
        jid: The controller's bare JID.
        timeout: Seconds to wait for its answer.

    Raises:
        DeviceAwayError: No controller with a desk answered in time.
        LinkDownError: The link is down.
    """
    bare = bare_jid(jid)
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    # Prosody 0.12 drops headlines to one's own bare JID; other types are stored for an account that is away,
    # which ours is not.
    kind: MessageKind = "normal" if bare_jid(link.jid) == bare else "headline"

    async def hear(message: Message) -> None:
        marked = any(each.tag == CONTROLLER_TAG for each in message.extensions)
        if marked and message.sender.partition("/")[0] == bare and not found.done():
            found.set_result(message.sender)

    # Presence proves nothing: servers show a killed controller until its session cannot be resumed.
    cancel = link.on_message(hear)
    try:
        async with asyncio.timeout(timeout):
            while not found.done():
                await link.send(bare, Message(kind=kind, extensions=(Element(SEEK_TAG),)))
                await asyncio.wait([found], timeout=_ASK_AGAIN)
            return found.result()
    except TimeoutError:
        raise DeviceAwayError(
            f"no controller runs as {bare}, or this account has no role there: start it with"
            " `iotxmpp controller run`, or name the account that it runs as"
        ) from None
    finally:
        cancel()


async def ask_desk(
    link: Link, desk: str, command: str, arguments: Mapping[str, Any], *, timeout: float = REQUEST_TIMEOUT
) -> Any:  # noqa: ANN401  # whatever the desk answers
    """Calls a command of a desk.

    Args:
        link: The link.
        desk: The full JID that `find_controller` gave.
        command: `call`, `command`, `commands` or `cancel`.
        arguments: Its arguments.
        timeout: Seconds to wait for the answer.

    Raises:
        CommandError: The desk refused; its subclass says how.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    return await call_command(link, desk, command, arguments, timeout=timeout)


async def call_by_desk(  # noqa: PLR0913  # a call has so many parts
    link: Link, desk: str, device: str, command: str, arguments: Mapping[str, Any], *, ttl: str | float
) -> Any:  # noqa: ANN401  # whatever the command gives
    """Queues a command at a desk, and waits until it has ended, also over a restart of the controller.

    Args:
        link: The link.
        desk: The full JID that `find_controller` gave.
        device: The device's id.
        command: The command's name.
        arguments: Its arguments.
        ttl: How long it may wait for the device, such as `6h`, or a number of seconds.

    Returns:
        The command's result.

    Raises:
        CommandError: It was not queued, or ended otherwise than done; its subclass says how.
        NoAnswerError: The controller did not answer any more; the command stays queued.
        LinkDownError: The link is down, and nothing was queued.
    """
    seconds = duration(ttl, "ttl")
    id_ = secrets.token_hex(16)
    given = {"device": device, "command": command, "arguments": dict(arguments), "id": id_}
    until, pause = time.monotonic() + seconds + GRACE, _FIRST_LOOK
    data = await ask_desk(link, desk, "call", {**given, "ttl": f"{seconds:f}s"})
    while not (state := QueuedCommand.from_data(data)).ended:
        if time.monotonic() > until:
            raise NoAnswerError(
                f"command {command} of {device} has not ended in time; it is {state.state},"
                f" see `iotxmpp commands show {id_}`"
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, _RAREST_LOOK)
        try:
            data = await ask_desk(link, desk, "command", {"id": id_})
        except (LinkDownError, NoAnswerError, DeviceAwayError):
            desk = await _again(link, desk)
    return state.outcome()


async def _again(link: Link, desk: str) -> str:
    """The controller's session, which may be another one by now."""
    try:
        return await find_controller(link, desk.partition("/")[0], _FIND_AGAIN)
    except (CommandError, LinkDownError, NoAnswerError):
        return desk
