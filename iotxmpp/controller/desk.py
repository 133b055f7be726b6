"""The controller's own commands, its desk: people call and cancel commands of devices through it.

The desk serves them as a device serves its own. Who may do what is decided here for each device, and by the
device once more for the controller; the person stands in each call that goes on. Each call, and what became
of it, is in the audit log.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, ContextVar, copy_context
from typing import Any

from iotxmpp.access import Access, Grant
from iotxmpp.addresses import bare_jid
from iotxmpp.commands import CommandSpec
from iotxmpp.controller.desk_devices import chosen_page, described
from iotxmpp.controller.desk_shown import ALONE, IN_LIST, LONG, PAGE, piece, shown_command, whole_text
from iotxmpp.controller.device import Device
from iotxmpp.controller.queue import LONGEST_ID, Queue
from iotxmpp.controller.queued import COMMAND_STATES, CommandState, QueuedCommand
from iotxmpp.controller.twindesk import desk_desire, desk_setting, desk_twin
from iotxmpp.durations import duration
from iotxmpp.errors import (
    ArgumentsError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    StoreError,
    UnknownCommandError,
    UnknownDeviceError,
)
from iotxmpp.serving.command import Command
from iotxmpp.xmltext import clean_text

log = logging.getLogger(__name__)

NAME = "controller"
"""What stands for the device in the audit log."""

DEFAULT_TTL = "1m"

MOST_LISTED = 1000
"""Commands of one answer, if they are short."""

AT_ONCE = 1000
"""Commands whose devices are looked at in one step, for those that the asker may see."""

MOST_NAMED = 5
"""Commands that are named where a start of an id means several."""

_ID = re.compile(r"[A-Za-z0-9._-]{0,64}")

_asker: ContextVar[str] = ContextVar("iotxmpp_desk_asker")


class Desk:
    """What a controller does for those who ask it.

    Args:
        own: The controller's bare JID; whoever has its account is a maintainer of all devices.
        queue: The queue of commands.
        device: Gives a device by its id, or raises `UnknownDeviceError`.
        devices: Gives all devices that the controller knows.
        access: Who else may do what.

    Attributes:
        access: Who may do what.
        commands: The desk's commands by name.
    """

    def __init__(
        self,
        *,
        own: str,
        queue: Queue,
        device: Callable[[str], Device],
        devices: Callable[[], Iterable[Device]] = tuple,
        access: Access | None = None,
    ) -> None:
        self.access = (access or Access()).plus(Grant(who=own, role="maintainer"))
        self._queue = queue
        self._device = device
        self._devices = devices
        reads = (self.command, self.commands_, self.part, self.twin, self.setting, self.describe, self.choose)
        changes = (self.call, self.cancel, self.desire)
        self.commands: Mapping[str, Command] = {
            **{each.spec.name: each for each in (_served(read, only_reads=True) for read in reads)},
            **{each.spec.name: each for each in (_served(change, only_reads=False) for change in changes)},
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
        try:
            queued = await self._queue.get(ticket.id)
        except StoreError as error:  # it is queued all the same
            log.warning("command %s of %s was queued, and cannot be read: %s", command, device, error)
            now = time.time()
            queued = QueuedCommand(
                id=ticket.id,
                device=found.id,
                name=command,
                arguments=arguments or {},
                by=bare_jid(_asker.get()),
                created=now,
                expires=now + duration(ttl, "ttl"),
                updated=now,
            )
        return shown_command(queued, ALONE)

    async def command(self, id: str) -> dict[str, Any]:  # noqa: A002  # as above
        """Show one command that was queued, and what became of it; `shortened` tells what `part` has in full.

        Raises:
            UnknownCommandError: There is none, of those that the asker may see.
            ArgumentsError: Several have ids that begin so.
        """
        return shown_command(await self._seen(id), ALONE)

    async def part(self, id: str, of: str = "result", start: int = 0) -> dict[str, Any]:  # noqa: A002  # as above
        """Show a piece of one command's arguments or result, as JSON text, where that is long.

        Raises:
            UnknownCommandError: There is none, of those that the asker may see.
            ArgumentsError: There is no such part; or several have ids that begin so.
        """
        if of not in LONG:
            raise ArgumentsError(f"of {of!r}: use one of {', '.join(LONG)}")
        return piece(getattr(await self._seen(id), of), start)

    async def commands_(
        self, device: str = "", state: str = "", limit: int = 100, before: str = ""
    ) -> list[dict[str, Any]]:
        """List the newest commands that were queued; fewer than asked for where no more fit one answer.

        Those before come with the first one's id as `before`; there are no more where nothing comes.

        Raises:
            ArgumentsError: There is no such state.
        """
        if state and state not in COMMAND_STATES:
            raise ArgumentsError(f"state {state!r}: use one of {', '.join(COMMAND_STATES)}")
        wanted: CommandState | None = next((each for each in COMMAND_STATES if each == state), None)
        found: list[dict[str, Any]] = []
        size, most = 0, max(1, min(limit, MOST_LISTED))
        while places := await self._queue.places(device or None, wanted, before=before, limit=AT_ONCE):
            for id_, whose in places:
                before = id_
                if not self.access.observes(_asker.get(), whose):
                    continue
                try:
                    row = shown_command(await self._queue.get(id_), IN_LIST)
                except NotFoundError:  # it was old, and is gone meanwhile
                    continue
                size += len(whole_text(row))
                if found and size > PAGE:
                    return found
                found.insert(0, row)
                if len(found) == most:
                    return found
        return found

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
        cancelled = await self._queue.cancel(command.id)
        return {
            "cancelled": cancelled,
            "command": shown_command(await self._queue.get(command.id), ALONE),
        }

    async def describe(self, device: str, command: str = "") -> dict[str, Any]:
        """Show how a device is, and what it says of one of its commands.

        Raises:
            NotAllowedError: The asker may not see the device.
            UnknownDeviceError: The controller does not know the device.
        """
        return described(self._found(device), command)

    async def choose(self, where: str, command: str = "", after: str = "") -> dict[str, Any]:
        """Show the devices that an expression means, of those that the asker may see; more come by `after`.

        Raises:
            ArgumentsError: The expression is none.
        """
        asker = _asker.get()

        def denied(device: Device) -> str:
            needs = self._needs(device.id, command)
            decision = self.access.decide(asker, device=device.id, command=command, needs=needs)
            return "" if decision.allowed else decision.why

        seen = [each for each in self._devices() if self.access.observes(asker, each.id)]
        return chosen_page(seen, where, command, after, denied=denied)

    async def twin(self, device: str, after: str = "") -> dict[str, Any]:
        """Show what the settings of a device should be, and what they are; more come by `after`.

        Raises:
            NotAllowedError: The asker may not see the device.
            UnknownDeviceError: The controller does not know the device.
        """
        return await desk_twin(self._found(device), after)

    async def setting(self, device: str, name: str, state: str = "desired", start: int = 0) -> dict[str, Any]:
        """Show a piece of one setting's value, as JSON text, where that is long.

        Raises:
            NotAllowedError: The asker may not see the device.
            UnknownDeviceError: The controller does not know the device.
            ArgumentsError: There is no such value.
        """
        return await desk_setting(self._found(device), name, state, start)

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
        """The command of that id; or the one whose id begins so, of those that the asker may see."""
        asker = _asker.get()
        try:
            command = await self._queue.get(id_)
        except NotFoundError:
            begin = await self._queue.beginning(id_, AT_ONCE) if id_ else []
            ids = sorted(each for each, device in begin if self.access.observes(asker, device))
            if len(ids) > 1:
                more = ", …" if len(ids) > MOST_NAMED else ""
                raise ArgumentsError(
                    f"id {id_!r}: several commands have ids that begin so:"
                    f" {', '.join(ids[:MOST_NAMED])}{more}; give more of the id"
                ) from None
            if not ids:
                raise self._no_command(id_) from None
            command = await self._queue.get(ids[0])
        if not self.access.observes(asker, command.device):
            raise self._no_command(id_)
        return command

    @staticmethod
    def _no_command(id_: str) -> UnknownCommandError:
        return UnknownCommandError(
            f"no command {clean_text(id_, LONGEST_ID)}; `iotxmpp commands list` lists those that are"
        )


def _served(function: Callable[..., Any], *, only_reads: bool) -> Command:
    """A command of the desk; the desk itself decides who may call it for which device."""
    name = function.__name__.rstrip("_")
    spec = CommandSpec.from_function(
        function, name=name, role="observer", idempotent=True, only_reads=only_reads
    )
    return Command(spec=spec, function=function)
