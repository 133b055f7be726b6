"""The door for people who write to a device from a chat client: `status`, `help`, `switch on=true`."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from iotxmpp.access import Access, Decision
from iotxmpp.addresses import bare_jid
from iotxmpp.commands import Outcome
from iotxmpp.errors import ArgumentsError, InvalidError
from iotxmpp.link import Message
from iotxmpp.serving.alarms import AUTOMATIC, LONGEST_TEXT
from iotxmpp.serving.call import CHAT_ID
from iotxmpp.serving.chatlimits import Senders
from iotxmpp.serving.chattext import span, told
from iotxmpp.serving.command import Caller, Command
from iotxmpp.serving.offloop import text_of
from iotxmpp.serving.records import Records
from iotxmpp.serving.stalls import sorry
from iotxmpp.textargs import describe, split_words, typed_arguments
from iotxmpp.xmltext import clean_text

OLDEST = 30.0
"""Seconds after which a message that a server kept is not obeyed any more."""

WITHIN = 30.0
"""Seconds within which a command must start that somebody wrote."""

LONGEST_MESSAGE = 4000
"""Characters of a message; a longer one is refused."""

BUSY = "I am busy with other messages; try again."

_STATUS, _HELP = "status", "help"
_MOST_SHOWN: Final = 1000
_REFUSED: Final = frozenset({"rejected", "expired", "cancelled"})


class Executes(Protocol):
    """What carries commands out, and writes down what became of them."""

    async def execute(  # noqa: PLR0913  # a call has so many parts
        self,
        caller: Caller,
        command: Command,
        *,
        id: str,  # noqa: A002  # the wire's word
        arguments: str | Mapping[str, Any] | None,
        expires: float | None = None,
        within: float | None = None,
    ) -> Outcome:
        """Carries a call out; what became of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reply:
    """What to say; a refusal is written down where the answer leaves, so each says whether it is one."""

    text: str
    refused: bool
    command: str = ""
    caller: Caller | None = None


class ChatDoor:
    """Understands what people write to a device.

    A stranger gets no answer at all, and neither does what no person wrote. Each message that is not
    obeyed is written down.
    """

    def __init__(  # noqa: PLR0913  # a door knows all that lies behind it
        self,
        commands: Mapping[str, Command],
        access: Access,
        executor: Executes,
        *,
        device: str,
        status: Callable[[], str],
        records: Records,
        own: str = "",
        away: Callable[[], float] = lambda: 0.0,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes it.

        Args:
            commands: The commands by name.
            access: Who may do what.
            executor: Carries commands out.
            device: The device's id.
            status: Tells how the device is, for people.
            records: Where refusals are written down; the executor writes down the rest.
            own: The device's own JID, whose messages are nobody's.
            away: Gives the seconds that what is read now may have waited, as `Stalls.away`.
            now: The clock, in seconds since 1970.
            clock: Gives seconds that nobody sets.
        """
        self._commands = commands
        self._access = access
        self._executor = executor
        self._device = device
        self._status = status
        self._records = records
        self._own = own.partition("/")[0].lower()
        self._away = away
        self._now = now
        self._senders = Senders(clock)

    def hears(self, message: Message) -> bool:
        """Whether a person wrote it who may observe the device; a stranger's is written down."""
        if message.kind == "headline" or not message.text.strip():
            return False
        if any(each.tag == AUTOMATIC for each in message.extensions):
            return False
        try:
            sender = bare_jid(message.sender)
        except InvalidError:  # a server's own address
            return False
        return sender != self._own and self._knows(sender, message)

    def busy(self, message: Message) -> str | None:
        """What to answer to one that is heard and not obeyed, as too many others are; None for nothing."""
        sender = bare_jid(message.sender)
        if self._senders.repeats(message):
            return None
        return self._busy(message) if self._senders.may(sender) else self._too_much(message)

    async def take(self, message: Message) -> str | None:
        """What to answer; None for no answer.

        A command is carried out before this returns, so call it in a task of its own.
        """
        if not self.hears(message) or self._senders.repeats(message):
            return None
        sender = bare_jid(message.sender)
        if not self._senders.may(sender):
            return self._too_much(message)
        try:
            reply = await self._answer(sender, message)
        except Exception as error:
            self._refused(message, _Reply(text=f"a fault of the device: {text_of(error)}", refused=True))
            raise
        if reply.refused:
            self._refused(message, reply)
        return clean_text(reply.text, LONGEST_TEXT)

    def _busy(self, message: Message) -> str:
        self._refused(message, _Reply(text=BUSY, refused=True))
        return BUSY

    def _too_much(self, message: Message) -> str | None:
        self._refused(message, _Reply(text="too many messages", refused=True))
        return self._senders.complaint(bare_jid(message.sender))

    def _knows(self, sender: str, message: Message) -> bool:
        decision = self._access.decide(sender, device=self._device)
        if not decision.allowed:
            text = f"a message of {len(message.text)} characters; {decision.why}"
            self._records.refuse(message.sender, door="chat", id=message.id, text=text)
        return decision.allowed

    async def _answer(self, sender: str, message: Message) -> _Reply:
        late = self._lateness(message)
        if late:
            return _Reply(text=late, refused=True)
        if len(message.text) > LONGEST_MESSAGE:
            text = f"That is too long: at most {LONGEST_MESSAGE} characters."
            return _Reply(text=text, refused=True)
        first, _, rest = message.text.strip().partition(" ")
        match first.strip().lower():
            case "status":
                return _Reply(text=self._status(), refused=False)
            case "help":
                return self._help(sender, rest.strip())
            case _:
                return await self._call(sender, message)

    def _lateness(self, message: Message) -> str:
        age = 0.0 if message.sent is None else abs(self._now() - message.sent)
        return (
            f"Your message was on its way for {span(age)}, so it was not obeyed; write it again."
            if age > OLDEST
            else ""
        )

    def _help(self, sender: str, name: str) -> _Reply:
        if name:
            found = self._find(name)
            if found is None:
                return self._unknown(sender, name)
            decision = self._decide(sender, found)
            if not decision.allowed:
                return _Reply(text=decision.why, refused=True, command=found)
            return _Reply(text=describe(found, self._commands[found].spec.about()), refused=False)
        specs = [self._commands[name].spec for name in self._callable_by(sender)]
        lines = [f"{spec.name}: {spec.description or spec.title}".rstrip(": ") for spec in specs]
        fixed = ["status: how this device is", "help NAME: how to write a command"]
        return _Reply(text="\n".join([*fixed, *lines]), refused=False)

    async def _call(self, sender: str, message: Message) -> _Reply:
        try:
            written, given = split_words(message.text)
        except ArgumentsError as error:
            written = message.text.split(maxsplit=1)[0]
            found = self._find(written)
            if found is None:
                return self._unknown(sender, written)
            return _Reply(text=str(error), refused=True, command=found)
        name = self._find(written)
        if name is None:
            return self._unknown(sender, written)
        decision = self._decide(sender, name)
        if not decision.allowed:
            return _Reply(text=decision.why, refused=True, command=name)
        waited = self._away()
        if waited >= WITHIN:
            return _Reply(text=sorry(waited), refused=True, command=name)
        command = self._commands[name]
        caller = Caller(jid=message.sender, by=sender, role=decision.role, door="chat")
        outcome = await self._executor.execute(
            caller,
            command,
            id=f"{CHAT_ID}{secrets.token_hex(8)}",
            arguments=typed_arguments(given, command.spec.about().arguments),
            within=WITHIN - waited,
        )
        refused = outcome.kind in _REFUSED
        return _Reply(text=told(name, outcome), refused=refused, command=name, caller=caller)

    def _find(self, written: str) -> str | None:
        """The command that is meant; phones begin a message with a capital."""
        if written in self._commands:
            return written
        found = [name for name in self._commands if name.lower() == written.lower()]
        return found[0] if len(found) == 1 else None

    def _decide(self, sender: str, name: str) -> Decision:
        needs = self._commands[name].spec.role
        return self._access.decide(sender, device=self._device, command=name, needs=needs)

    def _callable_by(self, sender: str) -> list[str]:
        return [name for name in sorted(self._commands) if self._decide(sender, name).allowed]

    def _unknown(self, sender: str, written: str) -> _Reply:
        from difflib import get_close_matches  # noqa: PLC0415  # for errors alone; an agent has little memory

        names = [_STATUS, _HELP, *self._callable_by(sender)]
        by_lower = {name.lower(): name for name in names}
        close = get_close_matches(written.lower()[:100], by_lower, n=1)
        meant = f" Did you mean {by_lower[close[0]]}?" if close else ""
        text = f"I do not know {clean_text(written, 50)!r}.{meant} I understand: {', '.join(names)}."
        return _Reply(text=text, refused=True, command=written)

    def _refused(self, message: Message, reply: _Reply) -> None:
        """Writes down a message that is not obeyed, unless the executor did."""
        caller = reply.caller or Caller(jid=message.sender, by=bare_jid(message.sender), role="", door="chat")
        if not caller.noted.done:
            self._records.note(
                caller,
                command=reply.command,
                id=message.id,
                result="refused",
                text=reply.text,
                given={"message": message.text[:_MOST_SHOWN]},
            )
