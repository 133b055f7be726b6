"""Asks the desk of a running controller."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.addresses import bare_jid
from iotxmpp.commands import command_error
from iotxmpp.controller.calls import exchange
from iotxmpp.controller.desk_read import read_json
from iotxmpp.controller.queued import QueuedCommand
from iotxmpp.durations import duration
from iotxmpp.errors import (
    CommandError,
    CommandUnknownError,
    DeviceAwayError,
    LinkDownError,
    NoAnswerError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
    UnreachableError,
)
from iotxmpp.fleet import CONTROLLER_TAG, SEEK_TAG
from iotxmpp.link import REQUEST_TIMEOUT, Link, Message, MessageKind

GRACE = 90.0
"""Seconds beyond a command's time to live after which the desk knows what became of it."""

PUT_AGAIN = (0.2, 0.5, 1.0)
"""Seconds after which a controller that is busy is asked again to queue a command."""

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


class ControllerBusyError(CommandError):
    """The controller refused for now: it is busy, or cannot write; it did nothing, and may be asked again."""


_NOT_NOW = frozenset({"resource-constraint", "internal-server-error", "remote-server-timeout"})
_NO_ANSWER = (LinkDownError, NoAnswerError, DeviceAwayError)


async def ask_desk(
    link: Link, desk: str, command: str, arguments: Mapping[str, Any], *, timeout: float = REQUEST_TIMEOUT
) -> Any:  # noqa: ANN401  # whatever the desk answers
    """Calls a command of a desk.

    Args:
        link: The link.
        desk: The full JID that `find_controller` gave.
        command: One of the desk's own commands, such as `call` or `commands`.
        arguments: Its arguments.
        timeout: Seconds to wait for the answer.

    Raises:
        ControllerBusyError: The desk refused for now.
        CommandError: The desk refused; its subclass says how.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    try:
        return await exchange(link, desk, command, arguments, timeout=timeout)
    except StanzaError as error:
        raise _meaning(error) from error


def _meaning(error: StanzaError) -> CommandError:
    """What a refusal of a desk's means: it is the controller's, and no device's."""
    if error.condition in _NOT_NOW:
        return ControllerBusyError(f"the controller refused: {error}")
    if isinstance(error, UnreachableError):
        return DeviceAwayError(f"the controller is away, or has no desk ({error.text or error.condition})")
    meaning = command_error(error)
    if not error.text or type(meaning) is CommandError:  # the words are those of a device's refusal
        return type(meaning)(f"the controller refused: {error}")
    return meaning


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """In place of a result: the command is done, and what it gave could not be brought.

    Attributes:
        id: The command's id.
        size: Characters of the result's JSON.
        why: Why it could not be brought.
    """

    id: str
    size: int
    why: str

    def __str__(self) -> str:
        """The same for people, with where the result can be read."""
        return (
            f"done, but its result of {self.size} characters could not be brought ({self.why});"
            f" read it with `iotxmpp commands show {self.id}`"
        )


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
        The command's result; an `Unread` where it is done, and its result could not be brought.

    Raises:
        CommandError: It was not queued, or ended otherwise than done; its subclass says how.
        CommandUnknownError: It was queued, and the controller does not tell this account what became of it.
        NoAnswerError: The controller did not answer, or tell what became of it; it may stay queued.
        LinkDownError: The link is down, and nothing was queued.
    """
    seconds = duration(ttl, "ttl")
    id_ = secrets.token_hex(16)
    given = {"device": device, "command": command, "arguments": dict(arguments), "id": id_}
    waiting = _Waiting(link, desk, f"command {command} of {device}", id_)
    data = await waiting.put({**given, "ttl": f"{seconds:f}s"})
    return await waiting.result(data, time.monotonic() + seconds + GRACE)


class _Waiting:
    """A command that is put into a desk's queue, and waited for."""

    def __init__(self, link: Link, desk: str, what: str, id_: str) -> None:
        self._link = link
        self._desk = desk
        self._what = what
        self._id = id_

    async def put(self, call: Mapping[str, Any]) -> Mapping[str, Any]:
        """Has it queued; the same id is one command, so a controller that is busy can be asked again."""
        for pause in PUT_AGAIN:
            with suppress(ControllerBusyError):
                return await self._queued(call)
            await asyncio.sleep(pause)
        return await self._queued(call)

    async def _queued(self, call: Mapping[str, Any]) -> Mapping[str, Any]:
        data: Mapping[str, Any] = await ask_desk(self._link, self._desk, "call", call)
        return data

    async def result(self, data: Mapping[str, Any], until: float) -> Any:  # noqa: ANN401  # whatever it gave
        """What the command gave, once it has ended."""
        pause, trouble = _FIRST_LOOK, ""
        while not (state := QueuedCommand.from_data(data)).ended:
            if time.monotonic() > until:
                raise NoAnswerError(
                    f"{self._what} has not ended in time; it is {state.state}{trouble}, {self._see}"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RAREST_LOOK)
            try:
                data, trouble = await self._ask("command", {"id": self._id}), ""
            except (NotAllowedError, UnknownCommandError) as error:
                raise CommandUnknownError(
                    f"{self._what} was queued, and the controller does not tell what became of it ({error});"
                    f" {self._see}"
                ) from error
            except (CommandError, LinkDownError, NoAnswerError) as error:  # it waits on, whatever this is
                trouble = f" as far as is known ({error})"
        size = data.get("shortened", {}).get("result", 0) if state.state == "done" else 0
        return await self._long_result(size, time.monotonic() + GRACE) if size else state.outcome()

    async def _long_result(self, size: int, until: float) -> Any:  # noqa: ANN401  # the result
        pause = _FIRST_LOOK
        while True:
            try:
                return await read_json(self._ask, "part", {"id": self._id, "of": "result"})
            except (CommandError, LinkDownError, NoAnswerError) as error:
                if time.monotonic() + pause > until or isinstance(
                    error, NotAllowedError | UnknownCommandError
                ):
                    return Unread(id=self._id, size=size, why=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RAREST_LOOK)

    @property
    def _see(self) -> str:
        return f"see `iotxmpp commands show {self._id}`"

    async def _ask(self, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # the result
        try:
            return await ask_desk(self._link, self._desk, command, arguments)
        except _NO_ANSWER:
            self._desk = await _again(self._link, self._desk)
            raise


async def _again(link: Link, desk: str) -> str:
    """The controller's session, which may be another one by now."""
    try:
        return await find_controller(link, desk.partition("/")[0], _FIND_AGAIN)
    except (CommandError, LinkDownError, NoAnswerError):
        return desk
