"""What the code sends, by the names that `docs/protocol.md` gives its examples."""

import asyncio
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from xml.etree.ElementTree import Element, SubElement

from pydantic import Field, SecretStr
from slixmpp.stanza import Presence as PresenceStanza

from iotxmpp import Account, Agent, Reading
from iotxmpp.access import Access, Grant
from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.commands import (
    CommandSpec,
    bad_session_error,
    call_element,
    cancel_element,
    cancelled_element,
    conflict_error,
    failure_element,
    parse_call,
    progress_element,
    result_element,
    started_element,
    too_late_error,
)
from iotxmpp.dataforms import form_element
from iotxmpp.errors import StanzaError
from iotxmpp.fleet import controller_element
from iotxmpp.link import Link, Presence, Request
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from iotxmpp.senml import encode, item_id
from iotxmpp.serving.command import Command
from iotxmpp.serving.deadline import Clocks, Now
from iotxmpp.serving.execution import MOST_WAITING, Executor
from iotxmpp.serving.journal import MemoryJournal
from iotxmpp.serving.server import CommandServer
from iotxmpp.status import DeviceStatus
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.presence import Presences
from iotxmpp.xmpp.provisioner import XmppProvisioner
from iotxmpp.xmpp.pubsub import PubSub
from iotxmpp.xmpp.stanzas import error_element
from tests.unit import wire_messages

if TYPE_CHECKING:
    from iotxmpp.xmpp.client import StrictClient

CLIENT = "{jabber:client}"
DEVICE = DeviceId("greenhouse")
NODES = DeviceNodes(service="pubsub.example.org", device=DEVICE)
HOUSE = "house@example.org"
CALLER = f"{HOUSE}/desk"
STRANGER = "stranger@example.org"
SESSION = "greenhouse@example.org/agent"
PASSWORD = "32 random characters"
MOMENT = 1795224000.25
EXPIRES = 1795224010.0
CALL_ID = "70da7de6b398d9c6"
SENTENCE = "temperature: OSError: no answer on the bus"

READINGS = (
    Reading(channel="temperature", value=21.5, unit="Cel", time=MOMENT, epoch="7f3a9c21", seq=120),
    Reading(channel="window/open", value=False, time=MOMENT, epoch="7f3a9c21", seq=121),
    Reading(channel="temperature", value=21.75, unit="Cel", time=MOMENT + 30, epoch="7f3a9c21", seq=122),
)


def water(seconds: Annotated[int, Field(ge=1, le=600)] = 10) -> str:
    """Opens the valve for a time."""
    return f"watered for {seconds} s"


def greenhouse() -> Agent:
    """The device of the document."""
    account = Account(jid="greenhouse@example.org", password=SecretStr("secret"), controllers=(HOUSE,))
    agent = Agent(account, site="behind the house", outbox="memory")

    @agent.sensor("temperature", unit="Cel", range=(-40, 85), description="Air temperature")
    def temperature() -> float:
        return 21.5

    agent.channel("window/open", type="bool", description="Whether the window is open")
    agent.command(water)
    return agent


def stanza(payload: Element, kind: str, *, to: str) -> Element:
    """An IQ around a payload."""
    iq = Element(f"{CLIENT}iq", {"type": kind, "to": to})
    iq.append(deepcopy(payload))
    return iq


@dataclass
class Recorder:
    """Takes requests as a link does, and gives the answers that it was told."""

    answer: Callable[[Element], Element | None] = field(default=lambda _: None)
    sent: list[Element] = field(default_factory=list)

    async def call(
        self, to: str, payload: Element, *, kind: Literal["get", "set"] = "set", timeout: float = 10.0
    ) -> Element | None:
        self.sent.append(stanza(payload, kind, to=to))
        return self.answer(payload)


def produced(answers: Mapping[str, Element]) -> dict[str, Element]:
    """Each stanza that the code sends, by the example's name.

    Args:
        answers: What the document says that servers and people send, by the example's name.
    """
    return asyncio.run(_produced(answers))


async def _produced(answers: Mapping[str, Element]) -> dict[str, Element]:
    return {
        **await _pubsub(),
        **_presence(),
        **_answers(),
        **await _refusals(),
        **await _provisioning(answers),
        **await wire_messages.messages(answers, greenhouse()),
        **await wire_messages.discovery(answers, _server(now=MOMENT)),
    }


async def _pubsub() -> dict[str, Element]:
    recorder = Recorder()
    pubsub = PubSub(recorder.call, _inbox())
    about = json_element(greenhouse().about.model_dump_json())
    pack = json_element(encode(READINGS, device=DEVICE))
    await pubsub.nodes(NODES.service, timeout=1)
    await pubsub.ask(NODES.about, subscriber=HOUSE, timeout=1)
    await pubsub.items(NODES.about, newest=1, timeout=1)
    await pubsub.publish(NODES.readings, pack, item_id=item_id("7f3a9c21", 120), timeout=1)
    await pubsub.publish(NODES.about, about, item_id="current", timeout=1)
    names = ("subscriptions", "subscribe", "fetch-about", "publish-readings", "publish-about")
    return dict(zip(names, recorder.sent, strict=True))


def _inbox() -> Inbox:
    return Inbox(pause=lambda: None, resume=lambda: None)


class _SentPresence(PresenceStanza):
    """A presence that goes to a list."""

    to_list: list[Element]

    def send(self) -> None:
        self.to_list.append(self.xml)


def _presence() -> dict[str, Element]:
    sent: list[Element] = []

    class Client:
        def Presence(self) -> _SentPresence:  # noqa: N802  # slixmpp's name
            made = _SentPresence()
            made.to_list = sent
            return made

        def register_handler(self, handler: object) -> None:
            del handler

    presences = Presences("greenhouse@example.org", Recorder().call, _inbox())
    presences.attach(cast("StrictClient", Client()))
    presences.follow("greenhouse@example.org")
    presences.admit(HOUSE.__eq__)
    presences._decide(HOUSE)
    presences._decide(STRANGER)
    status = DeviceStatus(
        why="change",
        heartbeat=30,
        uptime=3600,
        version="0.1.0",
        buffered=2,
        oldest=12,
        outbox="disk",
        problems=(SENTENCE,),
    )
    presences.send(Presence(text="online, 2 sensors, 1 problem", extensions=(status.element(),)))
    gone = DeviceStatus(why="stop", heartbeat=30, uptime=7200, version="0.1.0", outbox="disk")
    presences.send(Presence(available=False, text="stopped, 2 sensors", extensions=(gone.element(),)))
    presences.send(Presence(extensions=(controller_element(),)))
    names = ("follow", "admit", "refuse", "presence", "presence-stop", "presence-controller")
    return dict(zip(names, sent, strict=True))


def _call(
    arguments: Mapping[str, Any] | None = None, *, command: str = "water", call_id: str = CALL_ID
) -> Element:
    return call_element(
        command,
        arguments or {"seconds": 20},
        id=call_id,
        expires=EXPIRES,
        within=9.5,
        by="anna@example.org",
    )


def _answers() -> dict[str, Element]:
    call = parse_call(_call())
    return {
        "call": stanza(_call(), "set", to=SESSION),
        "result": stanza(result_element(call, water(20)), "result", to=CALLER),
        "failure": stanza(failure_element(call, "OSError: the valve does not answer"), "result", to=CALLER),
        "started": stanza(started_element(call), "result", to=CALLER),
        "cancel": stanza(cancel_element("water", id=CALL_ID), "set", to=SESSION),
        "cancelled": stanza(cancelled_element(call), "result", to=CALLER),
        "progress": _progress(),
        "form": form_element(greenhouse().about.commands["water"], "water"),
        "error-conflict": stanza(error_element(conflict_error(call)), "error", to=CALLER),
        "error-late": stanza(error_element(too_late_error(call)), "error", to=CALLER),
        "error-session": stanza(error_element(bad_session_error(call)), "error", to=CALLER),
    }


def _progress() -> Element:
    message = Element(f"{CLIENT}message", {"type": "headline", "to": CALLER})
    message.append(progress_element(CALL_ID, 0.25, "5 of 20 s"))
    return message


async def _refusals() -> dict[str, Element]:
    nameless, stepping, empty = _call(), _call(), _call()
    del nameless.attrib["node"]
    stepping.set("action", "again")
    SubElement(empty, "{jabber:x:data}x")
    cases: dict[str, tuple[Element, Literal["get", "set"], str]] = {
        "error-forbidden": (_call(), "set", f"{STRANGER}/desk"),
        "error-get": (_call(), "get", CALLER),
        "error-nameless": (nameless, "set", CALLER),
        "error-action": (stepping, "set", CALLER),
        "error-payload": (empty, "set", CALLER),
        "error-unknown": (_call(command="flood"), "set", CALLER),
        "error-arguments": (_call({"seconds": 601}), "set", CALLER),
    }
    server = _server(now=MOMENT)
    found = {
        name: await _refusal(server, Request(sender=sender, kind=kind, payload=payload))
        for name, (payload, kind, sender) in cases.items()
    }
    late = Request(sender=CALLER, kind="set", payload=_call())
    found["error-expired"] = await _refusal(_server(now=EXPIRES + 1), late)
    found["error-busy"] = await _busy(late)
    return found


def _server(*, now: float) -> CommandServer:
    return _serving(water, now=now)


def _serving(function: Callable[..., object], *, now: float) -> CommandServer:
    commands = {"water": Command(spec=CommandSpec.from_function(function, name="water"), function=function)}
    clocks = Clocks(wall=lambda: Now(time=now, trusted=True))
    executor = Executor(MemoryJournal(), device=DEVICE, clocks=clocks)
    access = Access([Grant(who=HOUSE, role="maintainer")])
    return CommandServer(commands, access, executor, device=DEVICE)


async def _refusal(server: CommandServer, request: Request) -> Element:
    try:
        await server.answer(request)
    except StanzaError as error:
        return stanza(error_element(error), "error", to=request.sender)
    raise AssertionError("the command was started")


async def _busy(request: Request) -> Element:
    """One call more than a device takes."""
    release = asyncio.Event()

    async def hold(seconds: int) -> None:
        await release.wait()

    server = _serving(hold, now=MOMENT)
    calls = [
        asyncio.create_task(
            server.answer(Request(sender=CALLER, kind="set", payload=_call(call_id=f"c{number}")))
        )
        for number in range(1 + MOST_WAITING)
    ]
    await asyncio.sleep(0.01)
    refusal = await _refusal(server, request)
    release.set()
    await asyncio.gather(*calls)
    return refusal


async def _provisioning(answers: Mapping[str, Element]) -> dict[str, Element]:
    def answer(payload: Element) -> Element | None:
        if payload.get("action") == "execute":
            return answers["add-user-form"][0]
        if payload.get("action") == "complete":
            return answers["add-user-done"][0]
        inner = payload[0].tag.partition("}")[2]
        if inner == "configure" and not len(payload[0]):
            return _offered()
        if inner in ("subscriptions", "affiliations") and not len(payload[0]):
            return answers[f"{inner}-of-node-answer"][0]
        return None

    recorder = Recorder(answer)
    provisioner = XmppProvisioner(cast("Link", recorder))
    await provisioner.create_account("greenhouse@example.org", PASSWORD)
    policy = NodePolicy(publisher="greenhouse@example.org", readers=(HOUSE,), keep=0)
    await provisioner.create_node(NODES.readings, policy)
    created = recorder.sent
    recorder.sent = []
    await provisioner.delete_node(NODES.readings)
    *again, deleted = recorder.sent
    names = (
        *("add-user", "add-user-submit", "create-node", "configure-get", "configure-submit"),
        *("subscriptions-of-node", "unsubscribe", "affiliations-of-node", "affiliations"),
        "subscribe-readers",
    )
    assert len(again) == 2, "before a node is deleted, its subscribers are asked for and unsubscribed"
    return {**dict(zip(names, created, strict=True)), "delete-node": deleted}


def _offered() -> Element:
    """A configuration form with every option that is wanted, and one more."""
    owner = "{http://jabber.org/protocol/pubsub#owner}"
    pubsub = Element(f"{owner}pubsub")
    configure = SubElement(pubsub, f"{owner}configure", {"node": NODES.readings.node})
    form = SubElement(configure, "{jabber:x:data}x", {"type": "form"})
    for name in (
        *("access_model", "publish_model", "persist_items", "max_items", "deliver_payloads", "title"),
        *("send_last_published_item", "notify_retract", "notification_type", "itemreply"),
    ):
        SubElement(form, "{jabber:x:data}field", {"var": f"pubsub#{name}"})
    return pubsub
