"""The controller's own commands, its desk: people call and cancel commands of devices through it.

The desk serves them as a device serves its own. Who may do what is decided here for each device, and by the
device once more for the controller; the person stands in each call that goes on. Each call, and what became
of it, is in the audit log.
"""

import logging
import re
from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar, copy_context
from typing import Any

from iotxmpp.access import Access, Grant
from iotxmpp.addresses import bare_jid
from iotxmpp.commands import CommandSpec
from iotxmpp.controller.device import Device
from iotxmpp.controller.queue import Queue
from iotxmpp.controller.queued import COMMAND_STATES, CommandState, QueuedCommand
from iotxmpp.controller.twindesk import desk_desire, desk_twin
from iotxmpp.errors import (
    ArgumentsError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnknownCommandError,
    UnknownDeviceError,
)
from iotxmpp.serving.command import Command

log = logging.getLogger(__name__)

NAME = "controller"
"""What stands for the device in the audit log."""

DEFAULT_TTL = "1m"

MOST_LISTED = 1000
"""Commands of one answer."""

_ID = re.compile(r"[A-Za-z0-9._-]{0,64}")

_asker: ContextVar[str] = ContextVar("iotxmpp_desk_asker")


class Desk:
    """What a controller does for those who ask it.

    Args:
        own: The controller's bare JID; whoever has its account is a maintainer of all devices.
        queue: The queue of commands.
        device: Gives a device by its id, or raises `UnknownDeviceError`.
        access: Who else may do what.

    Attributes:
        access: Who may do what.
        commands: The desk's commands by name.
    """

    def __init__(
        self, *, own: str, queue: Queue, device: Callable[[str], Device], access: Access | None = None
    ) -> None:
        self.access = (access or Access()).plus(Grant(who=own, role="maintainer"))
        self._queue = queue
        self._device = device
        queue_serves = (self.call, self.command, self.commands_, self.cancel)
        serves: tuple[Callable[..., Any], ...] = (*queue_serves, self.twin, self.desire)
        specs = [
            CommandSpec.from_function(each, name=each.__name__.rstrip("_"), role="observer", idempotent=True)
            for each in serves
        ]
        self.commands: Mapping[str, Command] = {
            spec.name: Command(spec=spec, function=function)
            for spec, function in zip(specs, serves, strict=True)
        }

    def admits(self, jid: str) -> bool:
        """Whether somebody may come to the desk: whoever has a role on any device."""
        try:
            account = bare_jid(jid)
        except InvalidError:  # a server's own address
            return False
        return any(grant.who in (account, account.partition("@")[2]) for grant in self.access.grants)

    def door(self) -> Access:
        """Whom the desk lets in at all; each of its commands then decides for itself."""
        return Access(tuple(Grant(who=grant.who, role="observer") for grant in self.access.grants))

    @staticmethod
    def asked_by(jid: str) -> Context:
        """A context for a task in which this account asks."""
        context = copy_context()
        context.run(_asker.set, jid)
        return context

    async def call(
        self,
        device: str,
        command: str,
        arguments: dict[str, Any] | None = None,
        ttl: str = DEFAULT_TTL,
        id: str = "",  # noqa: A002  # its name everywhere
    ) -> dict[str, Any]:
        """Queue a command of a device; the answer names its id, and does not wait for its end.

        Raises:
            NotAllowedError: The asker may not call it.
            UnknownDeviceError: The controller does not know the device.
            UnknownCommandError: The device has no such command.
            CommandError: It was not queued, and why.
        """
        if not _ID.fullmatch(id):
            raise ArgumentsError("id: use at most 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
        found = self._found(device)
        self._check(found, command)
        try:
            ticket = await self._queue.put(
                found.id, command, arguments or {}, ttl=ttl, by=bare_jid(_asker.get()), id=id
            )
        except InvalidError as error:
            raise ArgumentsError(str(error)) from error
        return (await self._queue.get(ticket.id)).as_data()

    async def command(self, id: str) -> dict[str, Any]:  # noqa: A002  # as above
        """Show one command that was queued, and what became of it.

        Raises:
            UnknownCommandError: There is none, of those that the asker may see.
        """
        return (await self._seen(id)).as_data()

    async def commands_(self, device: str = "", state: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """List the newest commands that were queued, with what became of them.

        Raises:
            ArgumentsError: There is no such state.
        """
        if state and state not in COMMAND_STATES:
            raise ArgumentsError(f"state {state!r}: use one of {', '.join(COMMAND_STATES)}")
        wanted: CommandState | None = next((each for each in COMMAND_STATES if each == state), None)
        found = await self._queue.find(device or None, wanted, max(1, min(limit, MOST_LISTED)))
        asker = _asker.get()
        return [each.as_data() for each in found if self.access.observes(asker, each.device)]

    async def cancel(self, id: str) -> dict[str, Any]:  # noqa: A002  # as above
        """Cancel a command that was not started; the answer says whether that was so.

        Raises:
            NotAllowedError: The asker may not call that command, and so not cancel it.
            UnknownCommandError: There is none, of those that the asker may see.
        """
        command = await self._seen(id)
        needs = self._needs(command.device, command.name)
        decision = self.access.decide(_asker.get(), device=command.device, command=command.name, needs=needs)
        if not decision.allowed:
            raise NotAllowedError(decision.why)
        cancelled = await self._queue.cancel(id)
        return {"cancelled": cancelled, "command": (await self._queue.get(id)).as_data()}

    async def twin(self, device: str) -> dict[str, Any]:
        """Show what the settings of a device should be, and what they are.

        Raises:
            NotAllowedError: The asker may not see the device.
            UnknownDeviceError: The controller does not know the device.
        """
        return await desk_twin(self._found(device))

    async def desire(self, device: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Change what the settings of a device should be; null takes one away. Show them as they are then.

        Raises:
            NotAllowedError: The asker is no maintainer of the device.
            UnknownDeviceError: The controller does not know the device.
            ArgumentsError: The settings break the rules.
        """
        found = self._found(device)
        decision = self.access.decide(_asker.get(), device=found.id, command="desire", needs="maintainer")
        if not decision.allowed:
            raise NotAllowedError(decision.why)
        return await desk_desire(found, settings, by=bare_jid(_asker.get()))

    def _found(self, device: str) -> Device:
        """A device that the asker may see; others are as unknown as those that are not there."""
        if not self.access.observes(_asker.get(), device):
            raise NotAllowedError(self.access.decide(_asker.get(), device=device).why)
        return self._device(device)

    def _check(self, device: Device, command: str) -> None:
        decision = self.access.decide(
            _asker.get(), device=device.id, command=command, needs=self._needs(device.id, command)
        )
        if not decision.allowed:
            log.warning("%s may not call %s of %s: %s", _asker.get(), command, device.id, decision.why)
            raise NotAllowedError(decision.why)
        if device.about is not None and command not in device.about.commands:
            known = ", ".join(sorted(device.about.commands)) or "none"
            raise UnknownCommandError(f"{device.id} has no command {command!r}; it has: {known}")

    def _needs(self, device: str, command: str) -> str:
        """The role that a command asks for; the highest where nobody knows."""
        try:
            about = self._device(device).about
        except UnknownDeviceError:
            about = None
        described = None if about is None else about.commands.get(command)
        return "maintainer" if described is None else described.role

    async def _seen(self, id_: str) -> QueuedCommand:
        try:
            command = await self._queue.get(id_)
        except NotFoundError as error:
            raise UnknownCommandError(error.text) from error
        if not self.access.observes(_asker.get(), command.device):
            raise UnknownCommandError(f"no command {id_}; `iotxmpp commands` lists those that are")
        return command
