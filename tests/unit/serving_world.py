"""A device's commands without a device: what serves them, and who calls."""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.access import Access, Grant
from iotxmpp.commands import CommandSpec, Outcome
from iotxmpp.link import Message, Request
from iotxmpp.serving.audit import MemoryAudit
from iotxmpp.serving.chat import ChatDoor
from iotxmpp.serving.command import Caller, Command
from iotxmpp.serving.deadline import Clocks, Now
from iotxmpp.serving.execution import Executor
from iotxmpp.serving.journal import Journal, MemoryJournal
from iotxmpp.serving.server import CommandServer

CONTROLLER = "house@example.org"
DESK = f"{CONTROLLER}/desk"
FRIEND = "friend@example.org/phone"
STRANGER = "stranger@example.org/1"


class Problems:
    """What does not work."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def report(self, key: str, text: str) -> None:
        self.texts[key] = text

    def clear(self, key: str) -> None:
        self.texts.pop(key, None)


class World:
    """Commands, served."""

    def __init__(
        self,
        *functions: Callable[..., object],
        journal: Journal | None = None,
        **spec: Any,  # noqa: ANN401  # a spec's own
    ) -> None:
        specs = [(CommandSpec.from_function(function, **spec), function) for function in functions]
        self.commands = {made.name: Command(spec=made, function=function) for made, function in specs}
        self.time: float | None = 1000.0
        self.trusted = True
        self.steady = 50.0
        self.problems = Problems()
        self._audit = MemoryAudit()
        self.sent: list[tuple[str, Message]] = []
        self.journal: Journal = journal if journal is not None else MemoryJournal(now=lambda: self.time)
        self.access = Access(
            [
                Grant(who=CONTROLLER, role="maintainer"),
                Grant(who="friend@example.org", role="observer"),
            ]
        )
        self.serve()

    def serve(self, **limits: Any) -> None:  # noqa: ANN401  # an executor's own
        """Starts anew, with other limits."""
        self.executor = Executor(
            self.journal,
            device="greenhouse",
            audit=self._audit,
            send=self.send,
            problems=self.problems,
            clocks=Clocks(wall=lambda: Now(time=self.time, trusted=self.trusted), steady=lambda: self.steady),
            known=self.access.account_or_domain,
            **limits,
        )
        self.server = CommandServer(self.commands, self.access, self.executor, device="greenhouse")

    @property
    def audit(self) -> MemoryAudit:
        """What was written down, all of it."""
        self.executor.records.catch_up()
        return self._audit

    async def send(self, to: str, message: Message) -> None:
        self.sent.append((to, message))

    async def ask(self, payload: Element, sender: str = DESK) -> Element:
        """The answer to a request."""
        return await self.server.answer(Request(sender=sender, kind="set", payload=payload))

    async def execute(self, name: str, call_id: str = "c", **more: Any) -> Outcome:  # noqa: ANN401  # a call's own
        """What becomes of a call at the executor."""
        caller = more.pop("caller", caller_of(DESK))
        arguments = more.pop("arguments", None)
        return await self.executor.execute(
            caller, self.commands[name], id=call_id, arguments=arguments, **more
        )

    def results(self) -> list[str]:
        """What was written down."""
        return [entry.result for entry in self.audit.entries]


def caller_of(jid: str) -> Caller:
    return Caller(jid=jid, by=jid.partition("/")[0], role="maintainer", door="machine")


def chat_of(world: World) -> ChatDoor:
    """The door for what people write."""
    return ChatDoor(
        world.commands,
        world.access,
        world.executor,
        device="greenhouse",
        status=lambda: "online",
        records=world.executor.records,
    )
