"""One call while it is carried out."""

import hashlib
from asyncio import Future, Task
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from iotxmpp.arguments import json_value
from iotxmpp.commands import Outcome, fingerprint, wrong_arguments_error
from iotxmpp.errors import ArgumentsError
from iotxmpp.serving.command import Caller, Command, Given
from iotxmpp.serving.deadline import Deadline
from iotxmpp.serving.progress import Reporter

CHAT_ID: Final = "chat-"
"""What the ids of calls begin with that people wrote."""


@dataclass(kw_only=True, slots=True, eq=False)
class Call:
    """One call, from its receipt to its end.

    Attributes:
        caller: Who called first.
        command: What is called.
        id: The call's id.
        given: The arguments as they came.
        deadline: Until when it may start.
        expires: The same as it was said, in seconds since 1970; None for no such limit.
        arguments: What the function gets, once they are checked.
        mark: Fingerprint of what is called, for the journal.
        waits: Whether it waits for its turn.
        started: Whether it acts, or may do so any moment.
        withdrawn: How it ends without having started; None while it may start.
        told: The full JIDs that are told how far it is.
        waiters: Get its outcome.
        reporter: How far it is.
        task: Carries it out.
    """

    caller: Caller
    command: Command
    id: str
    given: Given
    deadline: Deadline
    expires: float | None
    arguments: dict[str, Any] = field(default_factory=dict)
    mark: str = ""
    waits: bool = False
    started: bool = False
    withdrawn: Outcome | None = None
    told: set[str] = field(default_factory=set)
    waiters: list[Future[Outcome]] = field(default_factory=list)
    reporter: Reporter = field(init=False)
    task: Task[Outcome] = field(init=False)

    @property
    def name(self) -> str:
        """The command's name."""
        return self.command.spec.name

    @property
    def journaled(self) -> bool:
        """Whether it must not run twice."""
        return not self.command.spec.idempotent

    def check(self) -> Outcome | None:
        """Checks the arguments, and takes them; else how the call is refused."""
        if self.journaled:  # before all else: wrong arguments, too, make another call of a known id
            self.mark = mark_of(self.name, self.given)
        try:
            self.arguments = self.command.spec.parse(self.given)
        except ArgumentsError as error:
            return Outcome.of_refusal(wrong_arguments_error(error))
        return None

    def is_same(self, command: Command, given: Given) -> bool:
        """Whether that is the same call once more."""
        if command.spec.name != self.name:
            return False
        return given == self.given or mark_of(self.name, given) == mark_of(self.name, self.given)


def mark_of(name: str, given: Given) -> str:
    """The fingerprint of a command's name and its arguments.

    Of what is no JSON object, or none that is taken, it is that of the very text: so it fits no other call.
    """
    if given is None:
        return _mark_of_none(name)
    values: object = given
    try:
        if isinstance(given, str):
            values = json_value(given, name)  # strictly: a key twice is another call than one of the two
        return fingerprint(name, dict(values))  # type: ignore[call-overload]  # any JSON may come
    except (ValueError, TypeError, RecursionError, ArgumentsError):
        return _mark_of_text(name, given)


def _mark_of_text(name: str, given: Given) -> str:
    try:
        text = given if isinstance(given, str) else repr(given)
    except RecursionError:
        text = ""
    told = f"{name}\0{text}".encode(errors="surrogatepass")
    return f"unread:{hashlib.sha256(told).hexdigest()}"


@lru_cache(maxsize=64)
def _mark_of_none(name: str) -> str:
    """The mark of a call without arguments."""
    return fingerprint(name, {})
