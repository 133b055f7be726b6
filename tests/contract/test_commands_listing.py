"""Discovery of what a session can do: its features, and the list of its commands."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.errors import InvalidError, NotFoundError, StanzaError
from iotxmpp.link import COMMANDS, Entry, Link, Request
from tests.contract.world import ON_ONE_LOOP, World, severed

pytestmark = ON_ONE_LOOP

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"

WATER = Entry(node="water", name="Water <the> plants & more")
RESET = Entry(node="reset", name="Reset")


async def ask(caller: Link, to: str, namespace: str, node: str | None) -> Element:
    query = Element(f"{{{namespace}}}query", {"node": node} if node is not None else {})
    answer = await caller.call(to, query, kind="get")
    assert answer is not None
    assert (answer.tag, answer.get("node")) == (query.tag, node)
    return answer


async def listed(caller: Link, to: str) -> list[tuple[str | None, ...]]:
    answer = await ask(caller, to, ITEMS, COMMANDS)
    return [(it.get("jid"), it.get("node"), it.get("name")) for it in answer]


async def identities(caller: Link, to: str, node: str | None) -> list[tuple[str | None, ...]]:
    answer = await ask(caller, to, INFO, node)
    found = answer.findall(f"{{{INFO}}}identity")
    return [(it.get("category"), it.get("type"), it.get("name")) for it in found]


async def features(caller: Link, to: str, node: str | None) -> list[str | None]:
    answer = await ask(caller, to, INFO, node)
    return [it.get("var") for it in answer.findall(f"{{{INFO}}}feature")]


async def test_without_a_provider_the_list_is_empty(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    assert await listed(person, device.jid) == []
    assert await identities(person, device.jid, COMMANDS) == [("automation", "command-list", None)]
    with pytest.raises(NotFoundError):
        await ask(person, device.jid, INFO, "water")


async def test_commands_are_listed_in_order_at_our_full_jid(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    asked: list[str] = []

    def provide(sender: str) -> Sequence[Entry]:
        asked.append(sender)
        return (WATER, RESET)

    device.list_commands(provide)
    assert await listed(person, device.jid) == [
        (device.jid, "water", WATER.name),
        (device.jid, "reset", "Reset"),
    ]
    assert asked == [person.jid]


async def test_a_commands_node_describes_it(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    device.list_commands(lambda _: (WATER, RESET))
    assert await identities(person, device.jid, "water") == [("automation", "command-node", WATER.name)]
    assert await features(person, device.jid, "water") == [COMMANDS, "jabber:x:data"]
    assert list(await ask(person, device.jid, ITEMS, "water")) == []


async def test_a_listing_differs_by_who_asks(world: World) -> None:
    device, friend, stranger = [await world.join(name) for name in ("device", "friend", "stranger")]
    device.list_commands(lambda sender: (WATER,) if sender == friend.jid else ())
    assert await listed(friend, device.jid) == [(device.jid, "water", WATER.name)]
    assert await listed(stranger, device.jid) == []
    for namespace in (INFO, ITEMS):
        with pytest.raises(NotFoundError) as hidden:
            await ask(stranger, device.jid, namespace, "water")
        with pytest.raises(NotFoundError) as missing:
            await ask(friend, device.jid, namespace, "flood")
        assert hidden.value.text == missing.value.text.replace("flood", "water")


async def test_the_features_of_the_session_are_shown_beside(world: World) -> None:
    person = await world.join("person")
    device = await world.join("device", before=lambda link: link.advertise("urn:test:feature", COMMANDS))
    device.list_commands(lambda _: (WATER,))
    assert await identities(person, device.jid, None) == [("client", "bot", "iotxmpp")]
    assert {INFO, COMMANDS, "urn:test:feature"} <= set(await features(person, device.jid, None))
    assert list(await ask(person, device.jid, ITEMS, None)) == []


async def test_a_cancelled_provider_lists_no_more_and_frees_the_list(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    cancel = device.list_commands(lambda _: (WATER,))
    with pytest.raises(InvalidError):
        device.list_commands(lambda _: (RESET,))
    cancel()
    assert await listed(person, device.jid) == []
    device.list_commands(lambda _: (RESET,))
    cancel()
    assert await listed(person, device.jid) == [(device.jid, "reset", "Reset")]


async def test_a_raising_provider_is_an_internal_error_without_details(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device, person = await world.join("device"), await world.join("person")

    def fail(sender: str) -> Sequence[Entry]:
        raise RuntimeError("the password is sesame")

    device.list_commands(fail)
    for namespace, node in ((ITEMS, COMMANDS), (INFO, "water")):
        with pytest.raises(StanzaError) as raised:
            await ask(person, device.jid, namespace, node)
        assert raised.value.condition == "internal-server-error"
        assert "sesame" not in str(raised.value)
    assert any(it.exc_info and "sesame" in str(it.exc_info[1]) for it in caplog.records)
    assert device.state.up


async def test_a_name_that_cannot_travel_is_an_internal_error(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    names = ["\x1b", "good"]
    device.list_commands(lambda _: (Entry(node="water", name=names.pop(0)),))
    with pytest.raises(StanzaError) as raised:
        await listed(person, device.jid)
    assert raised.value.condition == "internal-server-error"
    assert await listed(person, device.jid) == [(device.jid, "water", "good")]


@pytest.mark.parametrize("namespace", [INFO, ITEMS])
async def test_discovery_is_no_set_and_is_served_by_the_link_alone(world: World, namespace: str) -> None:
    device, person = await world.join("device"), await world.join("person")

    async def serve(request: Request) -> None:
        return None

    with pytest.raises(InvalidError):
        device.serve(f"{{{namespace}}}query", serve)
    with pytest.raises(StanzaError) as raised:
        await person.call(device.jid, Element(f"{{{namespace}}}query"), kind="set")
    assert raised.value.condition == "bad-request"


async def test_a_listing_outlives_a_session_and_names_the_new_one(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    device.list_commands(lambda _: (WATER,))
    before = device.jid
    await severed(world.backend.renew, device)
    assert device.jid != before
    assert await listed(person, device.jid) == [(device.jid, "water", WATER.name)]
