"""What the code sends in messages and in answers to discovery, by the names of `docs/protocol.md`."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from xml.etree.ElementTree import Element

from slixmpp.stanza import Message as MessageStanza

from iotxmpp.access import Access, Grant
from iotxmpp.agent import commanding
from iotxmpp.agent.clock import Clock
from iotxmpp.agent.presence import Problems
from iotxmpp.controller.desk import Desk
from iotxmpp.controller.desk_client import find_controller
from iotxmpp.controller.desk_door import open_desk
from iotxmpp.discovery import DISCO_INFO, DISCO_ITEMS
from iotxmpp.errors import DeviceAwayError
from iotxmpp.link import Cancel, Link, Message, MessageHandler, Request
from iotxmpp.serving.audit import MemoryAudit
from iotxmpp.serving.server import CommandServer
from iotxmpp.xmpp.discovery import Discovery
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.messages import Messages, _message

if TYPE_CHECKING:
    from iotxmpp import Agent
    from iotxmpp.controller.queue import Queue
    from iotxmpp.xmpp.client import StrictClient

CLIENT = "{jabber:client}"
HOUSE = "house@example.org"
ANN = "ann@example.org/cli"
SESSION = "greenhouse@example.org/agent"


class Wire:
    """A link that only sends messages, and keeps each as the stanza that it is."""

    jid = ANN

    def __init__(self) -> None:
        self.sent: list[Element] = []
        self.handlers: list[MessageHandler] = []
        self._messages = Messages(Inbox(pause=lambda: None, resume=lambda: None))
        client = SimpleNamespace(
            is_connected=lambda: True,
            Message=MessageStanza,
            send=lambda stanza: self.sent.append(stanza.xml),
            register_handler=lambda _handler: None,
        )
        self._messages.attach(cast("StrictClient", client))

    async def send(self, to: str, message: Message) -> None:
        self._messages.send(to, message)

    def on_message(self, handler: MessageHandler) -> Cancel:
        self.handlers.append(handler)
        return lambda: None

    def on_presence(self, _handler: object) -> Cancel:
        return lambda: None

    def serve(self, _tag: str, _handler: object) -> Cancel:
        return lambda: None

    def list_commands(self, _provider: object) -> Cancel:
        return lambda: None

    def advertise(self, *features: str) -> None:
        assert features

    def admit(self, _allowed: object, *, withdraw: bool = False) -> None:
        """Nobody asks."""

    @property
    def link(self) -> Link:
        """It, as what it stands for."""
        return cast("Link", self)


async def messages(examples: Mapping[str, Element], greenhouse: "Agent") -> dict[str, Element]:
    """The messages, by the example's name.

    Args:
        examples: What the document says that others send, by the example's name.
        greenhouse: The device of the document.
    """
    return {
        "chat-answer": await _chat_answer(examples["chat"], greenhouse),
        "seek": await _seek(),
        "seek-answer": await _seek_answer(),
    }


async def _chat_answer(asked: Element, greenhouse: "Agent") -> Element:
    wire = Wire()
    plan = greenhouse._plan()
    commands = commanding.Commanding(
        wire.link,
        plan,
        problems=Problems(),
        clock=Clock(),
        latest={},
        status=lambda: greenhouse.status,
    )
    await commands.open()
    await commands._answer(_message(asked))
    await commands.close()
    (answer,) = wire.sent
    return answer


async def _seek() -> Element:
    wire = Wire()
    try:
        await find_controller(wire.link, HOUSE, 0.01)
    except DeviceAwayError:
        (sought,) = wire.sent
        return sought
    raise AssertionError("a controller was found where there is none")


async def _seek_answer() -> Element:
    wire = Wire()
    access = Access([Grant(who=ANN.partition("/")[0], role="observer")])
    desk = Desk(own=HOUSE, queue=cast("Queue", None), device=lambda _: None, access=access)  # type: ignore[arg-type,return-value]  # nobody asks for one
    async with AsyncExitStack() as stack:
        await open_desk(stack, wire.link, desk, MemoryAudit())
        (hear,) = wire.handlers
        extensions = tuple(await _seek())
        for sender in ("stranger@example.org/1", ANN):
            await hear(Message(sender=sender, kind="headline", extensions=extensions))
    (answer,) = wire.sent
    return answer


async def discovery(examples: Mapping[str, Element], server: CommandServer) -> dict[str, Element]:
    """The answers to discovery, by the example's name.

    Args:
        examples: The questions, by the example's name.
        server: Lists the device's commands.
    """
    found = Discovery()
    client = SimpleNamespace(boundjid=SimpleNamespace(full=SESSION), remove_handler=lambda _: None)
    found.attach(cast("StrictClient", client))
    found.list_commands(server.entries)
    answers: dict[str, Element] = {}
    for name, namespace in (("list", DISCO_ITEMS), ("entry", DISCO_INFO)):
        asked = examples[name]
        request = Request(sender=asked.get("from", ""), kind="get", payload=asked[0])
        iq = Element(f"{CLIENT}iq", {"type": "result", "to": request.sender})
        iq.append(await found.answers[f"{{{namespace}}}query"](request))
        answers[f"{name}-answer"] = iq
    return answers
