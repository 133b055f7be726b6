"""Each refusal at each door leaves one line in the audit log: who, what, when, and why."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.commands import CALL_NAMESPACE, COMMAND_TAG, cancel_element
from iotxmpp.errors import StanzaError
from iotxmpp.link import Message
from iotxmpp.serving.audit import AuditEntry
from iotxmpp.serving.chat import ChatDoor
from iotxmpp.serving.chatlimits import MOST_MESSAGES
from iotxmpp.serving.server import CommandServer
from tests.unit.doors_house import Valve, call
from tests.unit.person_client import command, session_of
from tests.unit.serving_world import DESK, FRIEND, STRANGER, World, chat_of
from tests.unit.test_doors_bad_input import BAD_XML, FORM, JSON, WRONG, element_with

CALL = f"{{{CALL_NAMESPACE}}}call"


@pytest.fixture
def world() -> World:
    valve = Valve()
    world = World(valve.open)
    world.serve()
    return world


async def asked(world: World, element: Element, sender: str = DESK) -> str:
    """What the answer is; of a refusal its text."""
    try:
        return (await world.ask(element, sender)).get("status", "")
    except StanzaError as error:
        return error.text


def only_line(world: World, *, before: int = 0) -> AuditEntry:
    lines = list(world.audit.entries)[before:]
    assert [each.result for each in lines] in (["refused"], ["rejected"], ["expired"])
    (line,) = lines
    assert line.text
    assert line.device == "greenhouse"
    assert abs(line.time - time.time()) < 60
    return line


def call_with(**attributes: str) -> Element:
    return element_with(JSON, Element(CALL, attributes))


REQUESTS: dict[str, tuple[Element, str]] = {
    **{f"machine: {name}": (call(text), "machine") for name, (text, _) in WRONG.items()},
    "machine: an unknown command": (call("{}", name="close"), "machine"),
    "machine: two payloads": (element_with(JSON, JSON), "machine"),
    "machine: both payloads": (element_with(JSON, FORM), "machine"),
    "machine: a bad expiry": (call_with(id="c", expires="yesterday"), "machine"),
    "machine: a bad time left": (call_with(id="c", within="nan"), "machine"),
    "machine: a long id": (call_with(id="c" * 257), "machine"),
    "machine: a long session": (element_with(JSON, sessionid="c" * 257), "machine"),
    "machine: a bad action": (element_with(JSON, action="destroy"), "machine"),
    "machine: a step": (element_with(JSON, action="next"), "machine"),
    "machine: for a nobody": (call_with(id="c", by="nobody"), "machine"),
    "machine: too late": (call('{"seconds": 1}', expires=1.0), "machine"),
    "form: another element": (Element("{urn:x}y"), "form"),
    "form: no node": (Element(COMMAND_TAG), "form"),
    "form: an unknown command": (command("execute", name="close"), "form"),
    "form: an unknown session": (command("complete", "s", name="open", seconds="1"), "form"),
    "form: a cancelled unknown session": (command("cancel", "s", name="open"), "form"),
    "form: a wrong value": (command("execute", name="open", seconds="61"), "form"),
    "form: no number": (command("execute", name="open", seconds="pony"), "form"),
    "form: an argument too much": (command("execute", name="open", seconds="1", speed="2"), "form"),
    "form: much too long": (command("execute", name="open", seconds="1", note="x" * 200_000), "form"),
    "form: a first step back": (command("prev", name="open"), "form"),
    "form: no form": (element_with(Element(FORM.tag, {"type": "result"})), "form"),
}


@pytest.mark.parametrize(("element", "door"), REQUESTS.values(), ids=REQUESTS)
async def test_a_refused_request_leaves_a_line(world: World, element: Element, door: str) -> None:
    await asked(world, element)
    line = only_line(world)
    assert (line.who, line.by, line.door) == (DESK, "house@example.org", door)
    assert line.command == element.get("node", "")


@pytest.mark.parametrize(("element", "_says"), BAD_XML.values(), ids=BAD_XML)
async def test_bad_xml_leaves_a_line(world: World, element: Element, _says: str) -> None:
    await asked(world, element)
    only_line(world)


@pytest.mark.parametrize("sender", [FRIEND, STRANGER])
@pytest.mark.parametrize("element", [call("{}"), command("execute", name="open"), call("{}", name="close")])
async def test_who_may_not_leaves_a_line(world: World, element: Element, sender: str) -> None:
    await asked(world, element, sender)
    line = only_line(world)
    assert (line.who, line.command) == (sender, element.get("node"))


async def test_an_id_reused_leaves_a_line(world: World) -> None:
    await asked(world, call('{"seconds": 1}'))
    assert "another call" in await asked(world, call('{"seconds": 2}'))
    line = only_line(world, before=2)
    assert (line.id, line.arguments) == ("c", '{"seconds": 2}')


async def test_a_cancel_that_comes_too_late_or_for_nothing_leaves_a_line(world: World) -> None:
    await asked(world, call('{"seconds": 1}'))
    assert "too late" in await asked(world, cancel_element("open", id="c"))
    only_line(world, before=2)


async def test_a_cancel_of_an_unknown_call_that_may_repeat_leaves_a_line() -> None:
    valve = Valve()
    world = World(valve.open, idempotent=True)
    await asked(world, cancel_element("open", id="none"))
    assert only_line(world).id == "none"


@pytest.mark.parametrize("values", [{"seconds": "61"}, {"seconds": "1", "note": "x" * 70_000}, {}])
async def test_a_page_with_faults_leaves_a_line(world: World, values: dict[str, str]) -> None:
    shown = session_of(await world.ask(command("execute", name="open")))
    assert world.results() == []  # who opens a form did nothing yet
    await asked(world, command("complete", shown, name="open", **values))
    line = only_line(world)
    assert (line.door, line.id) == ("form", shown)
    assert str(values.get("seconds", "")) in line.arguments


async def test_a_bad_step_and_another_form_leave_a_line_each(world: World) -> None:
    shown = session_of(await world.ask(command("execute", name="open")))
    await asked(world, command("prev", shown, name="open"))
    only_line(world)
    await asked(world, command("complete", shown, name="open", seconds="3"))
    await asked(world, command("complete", shown, name="open", seconds="4"))
    only_line(world, before=3)


MESSAGES: dict[str, tuple[str, str]] = {
    "an unknown command": ("explode now=1", "explode"),
    "bad quoting": ("open note='oops", "open"),
    "bad quoting of an unknown one": ("explode note='oops", "explode"),
    "wrong arguments": ("open seconds=61", "open"),
    "no argument": ("open 1", "open"),
    "too long": (f"open note={'x' * 4100}", ""),
    "help of an unknown command": ("help explode", "explode"),
}


@pytest.mark.parametrize(("text", "about"), MESSAGES.values(), ids=MESSAGES)
async def test_a_message_that_is_not_obeyed_leaves_a_line(world: World, text: str, about: str) -> None:
    await chat_of(world).take(Message(sender=DESK, text=text, id="m"))
    line = only_line(world)
    assert (line.who, line.door, line.command) == (DESK, "chat", about)
    assert text[:20] in line.arguments or '"seconds"' in line.arguments


@pytest.mark.parametrize("text", ["open seconds=1", "help open", "Help Open"])
async def test_a_message_of_who_may_not_leaves_a_line(world: World, text: str) -> None:
    await chat_of(world).take(Message(sender=FRIEND, text=text, id="m"))
    line = only_line(world)
    assert (line.who, line.command) == (FRIEND, "open")
    assert "asks for operator" in line.text


async def test_a_message_that_is_late_or_too_much_leaves_a_line(world: World) -> None:
    door = chat_of(world)
    await door.take(Message(sender=DESK, text="open seconds=1", sent=5.0))
    only_line(world)
    for number in range(MOST_MESSAGES + 2):
        await door.take(Message(sender=DESK, text="status", id=f"m{number}"))
    assert [each.text for each in world.audit.entries][1:] == ["too many messages"] * 3
    assert door.busy(Message(sender=FRIEND, text="status")) is not None
    only_line(world, before=4)


async def test_what_is_told_and_what_is_obeyed_is_no_refusal(world: World) -> None:
    door = chat_of(world)
    for text in ("status", "help", "help open"):
        await door.take(Message(sender=DESK, text=text))
    assert world.results() == []
    await door.take(Message(sender=DESK, text="open seconds=1"))
    await asked(world, call('{"seconds": 1}'))
    assert await asked(world, command("execute", name="open", seconds="1")) == "completed"
    assert world.results() == ["started", "done"] * 3


async def test_a_fault_of_a_door_itself_leaves_a_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_given: object, **_more: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("oh")

    monkeypatch.setattr(world.executor, "execute", broken)
    with pytest.raises(RuntimeError):
        await world.ask(call("{}"))
    with pytest.raises(RuntimeError):
        await chat_of(world).take(Message(sender=DESK, text="open seconds=1"))
    assert [(each.door, each.text) for each in world.audit.entries] == [
        ("machine", "a fault of the device: RuntimeError: oh"),
        ("chat", "a fault of the device: RuntimeError: oh"),
    ]


async def test_a_device_that_stops_writes_down_what_it_refuses(world: World) -> None:
    await world.executor.close()
    await asked(world, call('{"seconds": 1}'))
    only_line(world)


# A refusal that somebody adds one day is written down, too: nothing inside a door is asked for it.

NEW: tuple[Callable[[World], Any], ...] = (
    lambda _world: (CommandServer, "_machine", call("{}")),
    lambda world: (type(world.server._person()), "answer", command("execute", name="open")),
)


@pytest.mark.parametrize("inside", NEW, ids=["machine", "form"])
async def test_a_new_refusal_is_written_down(
    world: World, monkeypatch: pytest.MonkeyPatch, inside: Callable[[World], Any]
) -> None:
    where, name, element = inside(world)

    async def refuse(*_given: object) -> Element:
        await asyncio.sleep(0)
        raise StanzaError("not-allowed", "not on a Sunday")

    monkeypatch.setattr(where, name, refuse)
    await asked(world, element)
    assert only_line(world).text == "not on a Sunday"


def test_no_answer_of_the_chat_leaves_without_saying_whether_it_refuses() -> None:
    """Its parts give a `_Reply`, whose `refused` has no default."""
    parts = [ChatDoor._answer, ChatDoor._help, ChatDoor._call, ChatDoor._unknown]
    assert {part.__annotations__["return"] for part in parts} == {ChatDoor._answer.__annotations__["return"]}
    with pytest.raises(TypeError, match="refused"):
        ChatDoor._answer.__annotations__["return"](text="no")
