"""Bad input at each door: a clear refusal, nothing that runs for it, and a server that goes on."""

import asyncio
import json
from collections.abc import Callable
from xml.etree.ElementTree import Element, SubElement

import pytest

from iotxmpp.access import Grant
from iotxmpp.commands import COMMAND_TAG, COMMANDS_NAMESPACE, cancel_element, read_reply
from iotxmpp.errors import CommandCancelledError, StanzaError
from iotxmpp.link import Message, Request
from iotxmpp.payloads import JSON_TAG, json_element
from tests.unit.agent_house import until
from tests.unit.doors_house import MEGABYTE, Valve, call, refused, still_works
from tests.unit.person_client import command, note, session_of
from tests.unit.serving_world import DESK, FRIEND, STRANGER, World, chat_of
from tests.unit.test_serving import Gate


@pytest.fixture
def world(valve: Valve) -> World:
    return World(valve.open)


NESTED = "[" * 500 + "]" * 500
WRONG = {
    "missing": ("{}", "command open: seconds: Field required"),
    "extra": ('{"seconds": 1, "speed": 2}', "speed: Extra inputs are not permitted"),
    "a wrong type": ('{"seconds": "1"}', "seconds: Input should be a valid integer"),
    "a truth value": ('{"seconds": true}', "seconds: Input should be a valid integer"),
    "out of range": ('{"seconds": 61}', "seconds: Input should be less than or equal to 60"),
    "no object": ("[1]", 'expected a JSON object, such as {"seconds": 10}'),
    "no JSON": ("seconds=1", "no JSON"),
    "a key twice": ('{"seconds": 1, "seconds": 2}', "an object has a key twice"),
    "a megabyte": (json.dumps({"note": "x" * MEGABYTE}), "at most 65536 can be sent"),
    "500 deep": (f'{{"seconds": {NESTED}}}', "nested deeper than 32 levels"),
    "endless depth": ("[" * 60_000, "nested deeper than 32 levels"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
async def test_wrong_json_is_refused_by_its_fault(world: World, valve: Valve, text: str, says: str) -> None:
    error = await refused(world, call(text))
    assert (error.condition, error.detail) == ("bad-request", f"{{{COMMANDS_NAMESPACE}}}bad-payload")
    assert says in error.text
    assert len(error.text) <= 2000
    assert valve.opened == []
    assert [entry.result for entry in world.audit.entries] == ["rejected"]
    assert len(world.audit.entries[0].arguments) <= len(text)
    await still_works(world)


@pytest.mark.parametrize(
    ("entered", "says"),
    [
        ({"seconds": ""}, "seconds: missing; fill it in"),
        ({"seconds": "1", "speed": "2"}, "speed: no such argument; there is seconds, note"),
        ({"seconds": "soon"}, "seconds: 'soon' is no whole number, such as 20"),
        ({"seconds": "61"}, "seconds: 61 is more than 60"),
        ({"seconds": "9" * 5000}, "is no whole number"),
        ({"seconds": NESTED}, "is no whole number"),
        ({"seconds": "1", "note": "x" * MEGABYTE}, "at most 65536 can be sent"),
    ],
)
async def test_a_wrong_form_is_shown_again_with_its_fault(
    world: World, valve: Valve, entered: dict[str, str], says: str
) -> None:
    shown = session_of(await world.ask(command("execute", name="open")))
    again = await world.ask(command("complete", shown, name="open", **entered))
    assert session_of(again) == shown
    assert note(again)[0] == "error"
    assert says in note(again)[1]
    assert valve.opened == []
    done = await world.ask(command("complete", shown, name="open", seconds="3"))
    assert (done.get("status"), valve.opened) == ("completed", [3])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("opne seconds=1", "I do not know 'opne'. Did you mean open? I understand: status, help, open."),
        ("open", "seconds: Field required"),
        ("open seconds=1 speed=2", "speed: Extra inputs are not permitted"),
        ("open seconds=soon", "seconds: Input should be a valid integer"),
        ("open seconds=61", "seconds: Input should be less than or equal to 60"),
        ("open 1", "argument '1': write it as key=value, such as seconds=20"),
        ("open seconds=1 seconds=2", "argument 'seconds' is given twice"),
        ("open note='a", "a quote is not closed"),
        (f"open seconds={NESTED}", "Maximum serialization depth exceeded"),
        (f"open note={'x' * MEGABYTE}", "That is too long: at most 4000 characters."),
    ],
)
async def test_a_wrong_message_is_answered_with_its_fault(
    world: World, valve: Valve, text: str, says: str
) -> None:
    door = chat_of(world)
    reply = await door.take(Message(sender=DESK, text=text))
    assert reply is not None
    assert says in reply
    assert len(reply) <= 4000
    assert valve.opened == []
    assert await door.take(Message(sender=DESK, text="open seconds=3")) == "3 s"


def element_with(*children: Element, **attributes: str) -> Element:
    element = Element(COMMAND_TAG, {"node": "open", **attributes})
    element.extend(children)
    return element


JSON = json_element('{"seconds": 1}')
NESTED_JSON = Element(JSON_TAG)
SubElement(NESTED_JSON, JSON_TAG).text = "{}"
FORM = Element("{jabber:x:data}x", {"type": "submit"})
CALL = "{urn:iotxmpp:command:0}call"
BAD_XML = {
    "another element": (Element("{urn:x}y"), "expected <command/> with a node"),
    "no node": (Element(COMMAND_TAG), "expected <command/> with a node"),
    "an unknown command": (call("{}", name="close"), "no command close; this device has: open"),
    "two payloads": (element_with(JSON, JSON), "expected one <json/>, or one form"),
    "both payloads": (element_with(JSON, FORM), "expected one <json/>, or one form"),
    "a strange payload": (element_with(Element("{urn:x}y")), "expected one <json/>, or one form"),
    "XML in JSON": (element_with(NESTED_JSON), "holds XML elements, expected JSON text"),
    "empty JSON": (element_with(Element(JSON_TAG)), "empty, expected JSON text"),
    "an unknown action": (element_with(JSON, action="destroy"), "expected action execute, next"),
    "a step of a machine": (element_with(JSON, action="next"), "takes one step: use action execute"),
    "a form that is none": (element_with(Element(FORM.tag, {"type": "result"})), "a form of type submit"),
    "an unknown session": (element_with(FORM, sessionid="s"), "no such session, or it was left too long"),
    "a long session": (element_with(JSON, sessionid="s" * 257), "sessionid is longer than 256 characters"),
    "a long id": (element_with(Element(CALL, {"id": "i" * 257})), "id is longer than 256 characters"),
    "an expiry that is none": (element_with(Element(CALL, {"expires": "soon"})), "expires: "),
    "an expiry of nowhere": (element_with(Element(CALL, {"expires": "2026-01-01T00:00:00"})), "no time zone"),
    "endless time": (element_with(Element(CALL, {"within": "inf"})), "within: expected a number of seconds"),
    "nobody": (element_with(Element(CALL, {"by": "nobody"})), "by: "),
}


@pytest.mark.parametrize(("element", "says"), BAD_XML.values(), ids=BAD_XML)
async def test_bad_xml_is_refused(world: World, valve: Valve, element: Element, says: str) -> None:
    error = await refused(world, element)
    assert says in error.text
    assert valve.opened == []
    await still_works(world)


async def test_a_request_of_type_get_is_refused(world: World) -> None:
    with pytest.raises(StanzaError, match="an IQ of type set"):
        await world.server.answer(Request(sender=DESK, kind="get", payload=call("{}")))


async def test_an_id_is_for_one_call(world: World, valve: Valve) -> None:
    await world.ask(call('{"seconds": 1}'))
    error = await refused(world, call('{"seconds": 2}'))
    assert (error.condition, valve.opened) == ("conflict", [1])
    assert "give each call an id of its own" in error.text
    assert read_reply(await world.ask(call('{"seconds": 1}', id="c"))) == "1 s"
    assert valve.opened == [1]
    await still_works(world)


REQUESTS: dict[str, Callable[[], Element]] = {
    "a call": lambda: call('{"seconds": 1}'),
    "a form": lambda: command("execute", name="open", seconds="1"),
    "a cancel": lambda: cancel_element("open", id="c"),
    "an unknown command": lambda: call("{}", name="close"),
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_stranger_learns_nothing(
    world: World, valve: Valve, request_of: Callable[[], Element]
) -> None:
    error = await refused(world, request_of(), STRANGER)
    assert (error.condition, error.text) == (
        "forbidden",
        "this device does not obey you; its operator can add you as controller",
    )
    assert await chat_of(world).take(Message(sender=STRANGER, text="open seconds=1")) is None
    assert world.server.entries(STRANGER) == []
    assert (valve.opened, set(world.results())) == ([], {"refused"})


async def test_a_friend_without_the_role_is_told_which(world: World, valve: Valve) -> None:
    why = "friend@example.org is observer on greenhouse, and open asks for operator"
    for element in (call('{"seconds": 1}'), command("execute", name="open"), cancel_element("open", id="c")):
        error = await refused(world, element, FRIEND)
        assert error.condition == "forbidden"
        assert error.text.startswith(why)
    reply = await chat_of(world).take(Message(sender=FRIEND, text="open seconds=1"))
    assert reply is not None
    assert reply.startswith(why)
    assert (valve.opened, set(world.results())) == ([], {"refused"})


async def test_who_cancels_anothers_call_cancels_nothing() -> None:
    gate = Gate()
    world = World(gate.work)
    world.access = world.access.plus(Grant(who="other@example.org", role="operator"))
    world.serve()
    running = asyncio.create_task(world.ask(call('{"number": 1}', name="work", id="1")))
    waiting = asyncio.create_task(world.ask(call('{"number": 2}', name="work", id="2")))
    await until(lambda: gate.ran == [1])
    for number in ("1", "2"):  # only a call of its own by that id will never run
        with pytest.raises(CommandCancelledError):
            read_reply(await world.ask(cancel_element("work", id=number), "other@example.org/1"))
    gate.open.set()
    assert [read_reply(each) for each in await asyncio.gather(running, waiting)] == [1, 2]
