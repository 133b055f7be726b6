"""Answers requests for commands at both doors: the machine's, JSON in one round trip, and the person's."""

import logging
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from iotxmpp.access import Access, Decision
from iotxmpp.addresses import bare_jid
from iotxmpp.commands import COMMANDS_NAMESPACE, CommandCall, parse_call, too_late_error, unknown_error
from iotxmpp.errors import stanza_error
from iotxmpp.link import Entry, Request
from iotxmpp.serving.command import Caller, Command, Door
from iotxmpp.serving.execution import Executor

if TYPE_CHECKING:
    from iotxmpp.serving.person import PersonDoor

MOST_DECISIONS = 64
"""Decisions about who may do what that are remembered."""

_BAD_ACTION = f"{{{COMMANDS_NAMESPACE}}}bad-action"
_STRANGER = "this device does not obey you; its operator can add you as controller"
_LOGGER = logging.getLogger(__name__)


class CommandServer:
    """Answers requests for commands; its `answer` is a handler for `Link.serve`.

    Refused before anything starts, and written down: a caller without the role, and a command that there is
    not. What else is refused, the executor says.
    """

    def __init__(
        self,
        commands: Mapping[str, Command],
        access: Access,
        executor: Executor,
        *,
        device: str,
    ) -> None:
        """Makes one.

        Args:
            commands: The commands by name.
            access: Who may do what.
            executor: Carries commands out.
            device: The id of whose commands they are.
        """
        self._commands = commands
        self._access = access
        self._executor = executor
        self._device = device
        # What was given changes only with a new server; the same few call all the time.
        self._decided = lru_cache(maxsize=MOST_DECISIONS)(partial(access.decide, device=device))
        self._door: PersonDoor | None = None

    def entries(self, sender: str) -> list[Entry]:
        """The commands that somebody may call, for `Link.list_commands`."""
        return [
            Entry(node=name, name=command.spec.title or name)
            for name, command in self._callable_by(sender).items()
        ]

    async def answer(self, request: Request) -> Element:
        """The answer to one request.

        Raises:
            StanzaError: The command was not started, and why.
        """
        command = self._commands.get(request.payload.get("node", ""))
        decision = self._decide(request.sender, command)
        if not decision.allowed:  # else it observes, too
            self._refuse_stranger(request.sender)
        if request.kind != "set":
            raise stanza_error("bad-request", "a command is called with an IQ of type set")
        call = parse_call(request.payload)
        caller = self._caller(request.sender, call, decision)
        if command is None:
            self._note_refusal(caller, call, "there is no such command")
            raise unknown_error(call, self._callable_by(request.sender))
        if not decision.allowed:
            _LOGGER.warning("%s called %s and may not", request.sender, call.name)
            self._note_refusal(caller, call, decision.why)
            raise stanza_error("forbidden", decision.why)
        if not self._believes(request.sender, call):
            why = f"{caller.by} may not call on behalf of {call.by}; only a controller does: leave `by` out"
            self._note_refusal(caller, call, why)
            raise stanza_error("bad-request", why)
        if call.machine:
            return await self._machine(caller, command, call)
        return await self._person().answer(caller, command, call)

    async def _machine(self, caller: Caller, command: Command, call: CommandCall) -> Element:
        if call.action == "cancel":
            ended = await self._executor.cancel(caller, command, id=call.id)
            if ended is None or ended.kind in {"done", "failed", "unknown"}:
                raise too_late_error(call)
            return ended.element(call)
        if call.action not in {"execute", "complete"}:
            raise stanza_error(
                "bad-request", "a call in JSON takes one step: use action execute", _BAD_ACTION
            )
        outcome = await self._executor.execute(
            caller,
            command,
            id=call.id,
            arguments=call.arguments_json,
            expires=call.expires,
            within=call.within,
        )
        return outcome.element(call)

    def _person(self) -> "PersonDoor":
        if self._door is None:
            # Forms take memory that most devices never need.
            from iotxmpp.serving.person import PersonDoor  # noqa: PLC0415  # see above

            self._door = PersonDoor(self._executor)
        return self._door

    def _refuse_stranger(self, sender: str) -> None:
        """Raises where somebody may not even observe."""
        observes = self._decide(sender, None)
        if not observes.allowed:
            self._executor.records.refuse(sender, door="machine", text=observes.why)
            raise stanza_error("forbidden", _STRANGER)

    def _decide(self, sender: str, command: Command | None) -> Decision:
        """Whether somebody may call a command; or observe, where there is no such command."""
        if command is None:
            return self._decided(sender)
        return self._decided(sender, command=command.spec.name, needs=command.spec.role)

    def _callable_by(self, sender: str) -> dict[str, Command]:
        return {
            name: command for name, command in self._commands.items() if self._decide(sender, command).allowed
        }

    def _note_refusal(self, caller: Caller, call: CommandCall, why: str) -> None:
        self._executor.records.note(
            caller, command=call.name, id=call.id, result="refused", text=why, given=call.arguments_json
        )

    def _believes(self, sender: str, call: CommandCall) -> bool:
        """Whether the person for whom it is asked is taken from this sender."""
        return call.by in ("", bare_jid(sender)) or self._access.speaks_for_others(sender, self._device)

    def _caller(self, sender: str, call: CommandCall, decision: Decision) -> Caller:
        """Who asks, and for whom: what was not believed is not written down as if it were true."""
        trusted = bool(call.by) and self._access.speaks_for_others(sender, self._device)
        by = call.by if trusted else bare_jid(sender)
        door: Door = "form" if not call.machine else "controller" if trusted else "machine"
        return Caller(jid=sender, by=by, role=decision.role, door=door)
