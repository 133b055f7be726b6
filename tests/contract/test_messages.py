"""Messages between sessions: send and on_message."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement

import pytest

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError, LinkDownError
from iotxmpp.link import Item, Link, Message, MessageKind
from tests.contract.world import (
    BAD_TEXTS,
    ON_ONE_LOOP,
    TOO_LARGE,
    Collected,
    World,
    is_down,
    is_up,
    payload,
    severed,
    text_of,
)

pytestmark = ON_ONE_LOOP

TYPING = "{http://jabber.org/protocol/chatstates}composing"
RECEIPT = "{urn:xmpp:receipts}received"


async def listener(world: World, name: str = "device") -> tuple[Link, Collected[Message]]:
    """A link, and the messages that reach it."""
    got: Collected[Message] = Collected()
    return await world.join(name, before=hearing(got)), got


def hearing(got: Collected[Message]) -> Callable[[Link], None]:
    """What has a link's messages collected, before it is entered."""

    def hear(link: Link) -> None:
        link.on_message(got)

    return hear


async def settled(link: Link, sender: Link, got: Collected[Message]) -> list[Message]:
    """All that came before a last message, which is sent now."""
    await sender.send(link.jid, Message(text="the last"))
    await got.until(lambda message: message.text == "the last")
    return [message for message in got.all if message.text != "the last"]


async def test_a_message_arrives_with_all_that_it_says(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    sent = Message(
        text="switch <on> & off\n\ttwo °C 🌡",
        id="m1",
        extensions=(payload("more", n="1"), Element("{urn:test:contract}second")),
    )
    await person.send(device.jid, sent)
    (message,) = await got.count(1)
    assert message == replace(sent, sender=person.jid, extensions=message.extensions)
    assert message.sent is None
    assert [it.tag for it in message.extensions[:2]] == [payload().tag, "{urn:test:contract}second"]
    assert (text_of(message.extensions[0]), message.extensions[0].get("n")) == ("more", "1")


@pytest.mark.parametrize("kind", ["chat", "normal", "headline"])
@pytest.mark.parametrize("whole_account", [False, True], ids=["full JID", "bare JID"])
async def test_each_kind_arrives_at_a_session_and_at_an_account(
    world: World, kind: MessageKind, whole_account: bool
) -> None:
    (device, got), person = await listener(world), await world.join("person")
    to = bare_jid(device.jid) if whole_account else device.jid
    await person.send(to, Message(text="hello", kind=kind))
    (message,) = await got.count(1)
    assert (message.kind, message.text, message.sender) == (kind, "hello", person.jid)
    assert message.id


async def test_a_message_to_an_account_reaches_each_of_its_sessions(world: World) -> None:
    person, account = await world.join("person"), await world.backend.account("twice")
    first, second, other = Collected[Message](), Collected[Message](), Collected[Message]()
    first_link = await world.enter(account, before=hearing(first))
    await world.enter(account, before=hearing(second))
    await world.join("other", before=hearing(other))
    await person.send(account.jid, Message(text="to all"))
    await person.send(first_link.jid, Message(text="to one"))
    assert [it.text for it in await first.count(2)] == ["to all", "to one"]
    assert [it.text for it in await second.count(1)] == ["to all"]
    await person.send(account.jid, Message(text="to all again"))
    assert [it.text for it in await second.count(2)] == ["to all", "to all again"]
    assert other.all == []


async def test_a_session_reaches_the_other_sessions_of_its_own_account(world: World) -> None:
    account, got = await world.backend.account("twice"), Collected[Message]()
    await world.enter(account, before=hearing(got))
    other = await world.enter(account)
    await other.send(account.jid, Message(kind="normal", extensions=(payload("who is it?"),)))
    message = await got.until(lambda message: message.sender == other.jid)
    assert [text_of(it) for it in message.extensions if it.tag == payload().tag] == ["who is it?"]


async def test_a_hundred_messages_arrive_in_order_and_one_at_a_time(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    seen: Collected[str] = Collected()
    running = 0

    async def take(message: Message) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        seen.add(message.text)

    device.on_message(take)
    for number in range(100):
        await person.send(device.jid, Message(text=str(number)))
    assert await seen.count(100) == [str(number) for number in range(100)]


async def test_presences_items_and_messages_keep_their_order(world: World) -> None:
    device, person = await world.join("device"), await world.join("person")
    node = await world.node(person, [device])
    seen: Collected[str] = Collected()
    go_on = asyncio.Event()

    async def take(message: Message) -> None:
        await go_on.wait()
        seen.add(message.text)

    async def take_item(item: Item) -> None:
        seen.add(item.id)

    device.on_message(take)
    await device.subscribe(node, take_item)
    await person.send(device.jid, Message(text="first"))
    await person.publish(node, payload(), item_id="second")
    go_on.set()
    assert await seen.count(2) == ["first", "second"]


async def test_a_message_of_a_stranger_arrives_with_the_senders_true_jid(world: World) -> None:
    (device, got), stranger = await listener(world), await world.join("stranger")
    await stranger.send(device.jid, Message(sender="boss@localhost/desk", text="obey"))
    (message,) = await got.count(1)
    assert message.sender == stranger.jid


async def test_an_extension_alone_is_a_message(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    await person.send(device.jid, Message(kind="headline", extensions=(payload("half done"),)))
    (message,) = await got.count(1)
    assert (message.text, text_of(message.extensions[0])) == ("", "half done")


async def test_what_says_nothing_and_what_is_none_of_ours_is_no_message(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    for silent in (
        Message(),
        Message(extensions=(Element(TYPING),)),
        Message(extensions=(Element(RECEIPT, {"id": "m1"}), Element(TYPING))),
    ):
        await person.send(device.jid, silent)
    assert await settled(device, person, got) == []
    await person.send(device.jid, Message(text="typed", extensions=(Element(TYPING),)))
    assert (await got.count(2))[1].text == "typed"


@pytest.mark.parametrize("tag", ["{urn:xmpp:carbons:2}sent", "{urn:xmpp:mam:2}result"])
async def test_a_forged_copy_is_no_message(world: World, tag: str) -> None:
    (device, got), stranger = await listener(world), await world.join("stranger")
    copy = Element(tag)
    forwarded = SubElement(copy, "{urn:xmpp:forward:0}forwarded")
    inner = SubElement(forwarded, "{jabber:client}message", {"from": "boss@localhost/desk"})
    SubElement(inner, "{jabber:client}body").text = "obey"
    await stranger.send(device.jid, Message(text="look", extensions=(copy,)))
    assert await settled(device, stranger, got) == []


async def test_a_pubsub_event_is_no_message(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    node = await world.node(person, [device])
    items: Collected[Item] = Collected()
    await device.subscribe(node, items)
    await person.publish(node, payload(), item_id="1")
    await items.count(1)
    assert await settled(device, person, got) == []


async def test_a_message_to_nobody_brings_no_answer(world: World) -> None:
    (person, got), device = await listener(world, "person"), await world.join("device")
    nobody = f"nobody@{world.backend.domain}"
    for to in (nobody, f"{nobody}/desk"):
        await person.send(to, Message(text="is anybody there?"))
    assert await settled(person, device, got) == []


@pytest.mark.parametrize("text", BAD_TEXTS)
async def test_text_that_xml_cannot_carry_is_not_sent(world: World, text: str) -> None:
    (device, got), person = await listener(world), await world.join("person")
    for bad in (
        Message(text=f"a{text}"),
        Message(text="a", id=f"a{text}"),
        Message(text="a", extensions=(payload(text),)),
    ):
        with pytest.raises(InvalidError):
            await person.send(device.jid, bad)
    assert await settled(device, person, got) == []
    assert person.state.up


async def test_what_is_too_large_is_not_sent(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    half = "x" * (TOO_LARGE // 2)
    for large in (
        Message(text=half * 2),
        Message(extensions=(payload(half * 2),)),
        Message(text=half, extensions=(payload(half),)),
    ):
        with pytest.raises(InvalidError):
            await person.send(device.jid, large)
    assert await settled(device, person, got) == []


@pytest.mark.parametrize("to", ["", "no jid", "a@b@c", "person@\x00", "@localhost"])
async def test_a_message_needs_a_jid(world: World, to: str) -> None:
    person = await world.join("person")
    with pytest.raises(InvalidError):
        await person.send(to, Message(text="hello"))


async def test_what_was_sent_may_be_changed_afterwards(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    element = payload("as it was")
    await person.send(device.jid, Message(extensions=(element,)))
    element.text = "changed"
    (message,) = await got.count(1)
    assert text_of(message.extensions[0]) == "as it was"


async def test_nothing_is_sent_or_kept_while_the_link_is_down(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    await world.backend.hold(person)
    await is_down(person)
    with pytest.raises(LinkDownError):
        await person.send(device.jid, Message(text="lost"))
    await world.backend.release(person)
    await is_up(person)
    assert await settled(device, person, got) == []


async def test_a_message_that_came_while_a_session_was_cut_says_when_it_was_sent(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    full = device.jid
    await world.backend.cut(device)  # severed, and back with its session
    await person.send(full, Message(text="meanwhile"))
    message = await got.until(lambda message: message.text == "meanwhile")
    if message.sent is not None:  # the server kept it; else the session was back already
        assert abs(message.sent - time.time()) < 60
    assert [it.text for it in await settled(device, person, got)] == ["meanwhile"]


async def test_a_message_to_an_account_without_a_session_comes_late_with_its_time_or_never(
    world: World,
) -> None:
    person, account = await world.join("person"), await world.backend.account("device")
    for number in range(3):
        await person.send(account.jid, Message(text=str(number)))
    await person.send(account.jid, Message(text="news", kind="headline"))
    await person.call(world.backend.domain, Element("{urn:xmpp:ping}ping"), kind="get")  # they are there now
    await asyncio.sleep(1.1)
    got: Collected[Message] = Collected()
    device = await world.enter(account, before=hearing(got))
    came = await settled(device, person, got)
    assert [it.text for it in came] == (["0", "1", "2"] if world.backend.keeps_messages else [])
    for message in came:
        assert message.sent is not None
        assert 1 <= time.time() - message.sent < 60
    assert got.all[-1].sent is None


async def test_a_cancelled_handler_hears_no_more_and_others_go_on(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    also: Collected[Message] = Collected()
    cancel = device.on_message(also)
    await person.send(device.jid, Message(text="one"))
    await also.count(1)
    cancel()
    cancel()
    await person.send(device.jid, Message(text="two"))
    assert [it.text for it in await got.count(2)] == ["one", "two"]
    assert len(also.all) == 1


async def test_a_raising_handler_is_logged_and_the_next_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device, person = await world.join("device"), await world.join("person")

    async def fail(message: Message) -> None:
        raise RuntimeError("a handler of mine")

    got: Collected[Message] = Collected()
    device.on_message(fail)
    device.on_message(got)
    await person.send(device.jid, Message(text="one"))
    await person.send(device.jid, Message(text="two"))
    assert [it.text for it in await got.count(2)] == ["one", "two"]
    assert any(it.exc_info and "of mine" in str(it.exc_info[1]) for it in caplog.records)
    assert device.state.up


async def test_a_handler_may_answer_and_the_link_answers_nothing_by_itself(world: World) -> None:
    (person, answers), device = await listener(world, "person"), await world.join("device")

    async def echo(message: Message) -> None:
        await device.send(message.sender, replace(message, text=f"{message.text}!"))

    device.on_message(echo)
    await person.send(device.jid, Message(text="hello"))
    assert [it.text for it in await answers.count(1)] == ["hello!"]
    silent = await world.join("silent")  # nobody listens there
    await person.send(silent.jid, Message(text="hello"))
    assert [it.text for it in await settled(person, device, answers)] == ["hello!"]


async def test_messages_go_on_in_a_new_session(world: World) -> None:
    (device, got), person = await listener(world), await world.join("person")
    state = await severed(world.backend.renew, device)
    assert not state.resumed
    await person.send(device.jid, Message(text="after"))
    assert [it.text for it in await got.count(1)] == ["after"]
