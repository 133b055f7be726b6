"""Answers requests for commands at both doors: the machine's, JSON in one round trip, and the person's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from iotxmpp.access import Access, Decision
from iotxmpp.addresses import bare_jid
from iotxmpp.commands import (
    CALL_NAMESPACE,
    COMMANDS_NAMESPACE,
    CommandCall,
    parse_call,
    too_late_error,
    unknown_error,
)
from iotxmpp.errors import StanzaError, stanza_error
from iotxmpp.link import Entry, Request
from iotxmpp.payloads import JSON_TAG
from iotxmpp.serving.command import Caller, Command, Door, Given
from iotxmpp.serving.execution import Executor
from iotxmpp.serving.offloop import text_of
from iotxmpp.serving.records import Records
from iotxmpp.serving.refusals import account_of
from iotxmpp.serving.stalls import within_of

if TYPE_CHECKING:
    from iotxmpp.serving.person import PersonDoor

MOST_DECISIONS = 64
"""Decisions about who may do what that are remembered."""

_BAD_ACTION = f"{{{COMMANDS_NAMESPACE}}}bad-action"
_NOTE_TAG = f"{{{COMMANDS_NAMESPACE}}}note"
_CALL_TAG = f"{{{CALL_NAMESPACE}}}call"
_VALUE_TAG = "{jabber:x:data}value"
_STRANGER = "this device does not obey you; its operator can add you as controller"


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A request, as far as it was understood by now, and why it is refused where its answer says less."""

    request: Request
    caller: Caller | None = None
    call: CommandCall | None = None
    why: str = ""


class CommandServer:
    """Answers requests for commands; its `answer` is a handler for `Link.serve`.

    Whatever it answers passes `answer`, which writes down each refusal that the executor did not.
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
        executor.records.only_read(name for name, each in commands.items() if each.spec.only_reads)

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
        asked = _Asked(request=request)
        try:
            answer = await self._answer(request, asked)
        except StanzaError as error:
            self._note_refusal(asked, error.text or error.condition)
            raise
        except Exception as error:
            self._note_refusal(asked, f"a fault of the device: {text_of(error)}")
            raise
        if answer.get("status") == "executing":  # a form that is shown again with its faults
            note = answer.find(_NOTE_TAG)
            if note is not None and note.get("type") == "error":
                self._note_refusal(asked, note.text or "")
        return answer

    async def _answer(self, request: Request, asked: _Asked) -> Element:
        command = self._commands.get(request.payload.get("node", ""))
        decision = self._decide(request.sender, command)
        if not decision.allowed:  # else it observes, too
            self._refuse_stranger(request.sender, asked)
        if request.kind != "set":
            raise stanza_error("bad-request", "a command is called with an IQ of type set")
        call = parse_call(request.payload)
        caller = self._caller(request.sender, call, decision)
        asked.call, asked.caller = call, caller
        if command is None:
            asked.why = "there is no such command"
            raise unknown_error(call, self._callable_by(request.sender))
        if not decision.allowed:
            raise stanza_error("forbidden", decision.why)
        if not self._believes(request.sender, call):
            why = f"{caller.by} may not call on behalf of {call.by}; only a controller does: leave `by` out"
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
            within=within_of(self._executor.away(), call.expires, call.within),
        )
        return outcome.element(call)

    def _person(self) -> "PersonDoor":
        if self._door is None:
            # Forms take memory that most devices never need.
            from iotxmpp.serving.person import PersonDoor  # noqa: PLC0415  # see above

            self._door = PersonDoor(self._executor)
        return self._door

    def _refuse_stranger(self, sender: str, asked: _Asked) -> None:
        """Raises where somebody may not even observe."""
        observes = self._decide(sender, None)
        if not observes.allowed:
            asked.why = observes.why
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

    def _note_refusal(self, asked: _Asked, why: str) -> None:
        """Writes a request down that is refused, unless that was done where it was refused."""
        caller = asked.caller or _unread(asked.request)
        if not caller.noted.done:
            self._records.note(
                caller,
                command=asked.request.payload.get("node", ""),
                id=asked.call.id if asked.call is not None else _id_in(asked.request.payload),
                result="refused",
                text=asked.why or why,
                given=_given(asked.call),
            )

    @property
    def _records(self) -> Records:
        return self._executor.records

    def _believes(self, sender: str, call: CommandCall) -> bool:
        """Whether the person for whom it is asked is taken from this sender."""
        return call.by in ("", bare_jid(sender)) or self._access.speaks_for_others(sender, self._device)

    def _caller(self, sender: str, call: CommandCall, decision: Decision) -> Caller:
        """Who asks, and for whom: what was not believed is not written down as if it were true."""
        trusted = bool(call.by) and self._access.speaks_for_others(sender, self._device)
        by = call.by if trusted else bare_jid(sender)
        door: Door = "form" if not call.machine else "controller" if trusted else "machine"
        return Caller(jid=sender, by=by, role=decision.role, door=door)


def _unread(request: Request) -> Caller:
    """Who sent what could not be read."""
    by_machine = any(each.tag in (_CALL_TAG, JSON_TAG) for each in request.payload)
    door: Door = "machine" if by_machine else "form"
    return Caller(jid=request.sender, by=account_of(request.sender), role="", door=door)


def _id_in(payload: Element) -> str:
    call = payload.find(_CALL_TAG)
    return (call.get("id", "") if call is not None else "") or payload.get("sessionid", "")


def _given(call: CommandCall | None) -> Given:
    """The arguments as they came, unchecked."""
    if call is None or call.form is None:
        return None if call is None else call.arguments_json
    return {each.get("var", ""): each.findtext(_VALUE_TAG, "") for each in call.form}
