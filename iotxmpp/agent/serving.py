"""Serves a device's commands to those whom it obeys."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.addresses import bare_jid
from iotxmpp.agent.offloop import call as call_function
from iotxmpp.commands import (
    CommandCall,
    CommandSpec,
    expired_error,
    failure_element,
    parse_call,
    result_element,
    unknown_error,
    wrong_arguments_error,
)
from iotxmpp.errors import ArgumentsError, CommandError, InvalidError, stanza_error
from iotxmpp.link import Request

AT_ONCE = 8
"""Commands that run side by side."""

MOST_WAITING = 64
"""Commands that wait for one of those to end; more are refused."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command and the function that serves it, by keyword arguments."""

    spec: CommandSpec
    function: Callable[..., object]


class CommandServer:
    """Answers requests for commands; its `answer` is a handler for `Link.serve`.

    Refused before anything starts: a caller who is not obeyed, an unknown command, wrong arguments, an
    expired call, and more calls than the device takes at a time.
    """

    def __init__(
        self,
        commands: Mapping[str, Command],
        obeys: Callable[[str], bool],
        *,
        at_once: int = AT_ONCE,
        most_waiting: int = MOST_WAITING,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Makes one.

        Args:
            commands: The commands by name.
            obeys: Says whether a bare JID is obeyed.
            at_once: Commands that run side by side.
            most_waiting: Commands that wait for one of those to end.
            now: The clock, in seconds since 1970.
        """
        self._commands = commands
        self._obeys = obeys
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._most_waiting = most_waiting
        self._now = now

    async def answer(self, request: Request) -> Element:
        """The answer to one request.

        Raises:
            StanzaError: The command was not started, and why.
        """
        self._check_sender(request.sender)
        if request.kind != "set":
            raise stanza_error("bad-request", "a command is called with an IQ of type set")
        call = parse_call(request.payload)
        command = self._commands.get(call.name)
        if command is None:
            raise unknown_error(call, self._commands)
        self._check_expiry(call)
        try:
            arguments = command.spec.parse(call.arguments_json)
        except ArgumentsError as error:
            raise wrong_arguments_error(error) from error
        return await self._carry_out(command, call, arguments, request.sender)

    def _check_sender(self, sender: str) -> None:
        try:
            obeyed = self._obeys(bare_jid(sender))
        except InvalidError:  # a server's own address
            obeyed = False
        if not obeyed:
            _LOGGER.warning("%s called a command and is not obeyed", sender)
            raise stanza_error(
                "forbidden", "this device does not obey you; its operator can add you as controller"
            )

    def _check_expiry(self, call: CommandCall) -> None:
        if call.expires is not None and call.expires < self._now():
            raise expired_error(call)

    async def _carry_out(
        self, command: Command, call: CommandCall, arguments: dict[str, Any], sender: str
    ) -> Element:
        if self._free.locked() and self._waiting >= self._most_waiting:
            raise stanza_error(
                "resource-constraint", "this device is busy with other commands; try again later"
            )
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            self._check_expiry(call)
            _LOGGER.info("%s calls %s (%s)", sender, call.name, call.id)
            return await _run(command, call, arguments)
        finally:
            self._free.release()


async def _run(command: Command, call: CommandCall, arguments: dict[str, Any]) -> Element:
    try:
        result = await call_function(command.function, **arguments)
    except ArgumentsError as error:  # a driver's own check
        raise wrong_arguments_error(error) from error
    except CommandError as error:
        _LOGGER.warning("command %s (%s) failed: %s", call.name, call.id, error)
        return failure_element(call, str(error))
    except Exception as error:
        _LOGGER.exception("command %s (%s) failed", call.name, call.id)
        return failure_element(call, f"{type(error).__name__}: {error}")
    try:
        return result_element(call, result)
    except InvalidError as error:
        _LOGGER.exception("command %s (%s): its result cannot be sent", call.name, call.id)
        return failure_element(call, f"it ran, but its result cannot be sent: {error}")
