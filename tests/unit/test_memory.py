"""What only the server in memory does: misbehave on demand."""

import asyncio
import time
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress
from iotxmpp.errors import (
    ForbiddenError,
    InvalidError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
    UnreachableError,
)
from iotxmpp.link import Item, Link, LinkState, Presence, Request
from iotxmpp.memory import MemoryLink, MemoryServer
from iotxmpp.provisioning import NodePolicy, Provisioner

DEVICE = Account(jid="device@localhost", password=SecretStr("device's"))
READER = Account(jid="reader@localhost", password=SecretStr("reader's"))
NODE = NodeAddress(service="pubsub.localhost", node="iot/device/readings")


@pytest.fixture
async def server() -> MemoryServer:
    server = MemoryServer()
    for account in (DEVICE, READER):
        await server.create_account(account.jid, account.password.get_secret_value())
    await server.create_node(NODE, NodePolicy(publisher=DEVICE.jid, readers=(READER.jid,), keep=5))
    return server


@pytest.fixture
async def device(server: MemoryServer) -> AsyncIterator[MemoryLink]:
    async with server.link(DEVICE) as link:
        yield link


@pytest.fixture
async def reader(server: MemoryServer) -> AsyncIterator[MemoryLink]:
    async with server.link(READER) as link:
        yield link


class Seen:
    """What handlers were given."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[Item] = asyncio.Queue()
        self.presences: asyncio.Queue[Presence] = asyncio.Queue()
        self.states: asyncio.Queue[LinkState] = asyncio.Queue()

    async def item(self, item: Item) -> None:
        self.items.put_nowait(item)

    async def presence(self, presence: Presence) -> None:
        self.presences.put_nowait(presence)

    def state(self, state: LinkState) -> None:
        self.states.put_nowait(state)


def published_ids(items: list[Item]) -> list[str]:
    return [item.id for item in items]


def test_it_is_the_port() -> None:
    server = MemoryServer("example.org")
    link: Link = server.link(DEVICE)
    provisioner: Provisioner = server
    assert (link.jid, provisioner) == (DEVICE.jid, server)
    assert server.service == "pubsub.example.org"


async def test_a_dropped_link_says_why_and_comes_back(server: MemoryServer, device: MemoryLink) -> None:
    seen, old = Seen(), device.jid
    device.on_state(seen.state)
    server.drop(DEVICE.jid, reason="the cable was pulled")
    assert device.state == LinkState(up=False, reason="the cable was pulled")
    with pytest.raises(LinkDownError, match="the cable was pulled"):
        await device.publish(NODE, Element("x"), item_id="1")
    assert not (await seen.states.get()).up
    assert await seen.states.get() == LinkState(up=True)
    assert device.jid != old


async def test_a_resumed_session_gets_what_came_meanwhile(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    seen, states, full = Seen(), Seen(), reader.jid
    await reader.subscribe(NODE, seen.item)
    reader.on_state(states.state)
    server.drop(full, resume=True, back_after=None)
    await device.publish(NODE, Element("x"), item_id="meanwhile")
    assert seen.items.empty()
    server.restore(full)
    assert (await seen.items.get()).id == "meanwhile"
    assert [(await states.states.get()).up, await states.states.get()] == [
        False,
        LinkState(up=True, resumed=True),
    ]
    assert reader.jid == full


async def test_a_session_that_is_not_resumed_missed_what_came_meanwhile(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    seen = Seen()
    await reader.subscribe(NODE, seen.item)
    server.drop(READER.jid, back_after=None)
    await device.publish(NODE, Element("x"), item_id="missed")
    server.restore(READER.jid)
    await device.publish(NODE, Element("x"), item_id="seen")
    assert (await seen.items.get()).id == "seen"


async def test_a_request_to_a_held_session_is_served_at_its_resumption(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    async def serve(request: Request) -> Element:
        return Element("done")

    device.serve("{urn:test}do", serve)
    server.drop(DEVICE.jid, resume=True, back_after=None)
    call = asyncio.create_task(reader.call(device.jid, Element("{urn:test}do")))
    await asyncio.sleep(0)
    server.restore(DEVICE.jid)
    answer = await call
    assert answer is not None
    assert answer.tag == "done"


async def test_an_answer_that_was_under_way_at_a_drop_is_lost_or_kept_by_resumption(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    for resume in (True, False):
        finish, started = asyncio.Event(), asyncio.Event()

        async def serve(request: Request, finish: asyncio.Event = finish) -> None:
            started.set()  # noqa: B023  # called within this turn of the loop
            await finish.wait()

        cancel = device.serve("{urn:test}do", serve)
        call = asyncio.create_task(reader.call(device.jid, Element("{urn:test}do"), timeout=0.05))
        await started.wait()
        server.drop(DEVICE.jid, resume=resume, back_after=None)
        finish.set()
        await asyncio.sleep(0)
        server.restore(DEVICE.jid)
        if resume:
            assert await call is None
        else:
            with pytest.raises(NoAnswerError):
                await call
        cancel()


async def test_followers_see_a_dropped_session_leave_unless_it_is_resumed(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    seen = Seen()
    device.admit(lambda jid: jid == READER.jid)
    reader.on_presence(seen.presence)
    await reader.follow(DEVICE.jid)
    first = await seen.presences.get()
    server.drop(DEVICE.jid, resume=True)
    await asyncio.sleep(0.01)
    assert device.state.up
    assert seen.presences.empty()
    server.drop(DEVICE.jid)
    assert await seen.presences.get() == Presence(sender=first.sender, available=False)
    assert (await seen.presences.get()).sender == device.jid


async def test_a_link_comes_back_after_its_time(server: MemoryServer, device: MemoryLink) -> None:
    seen = Seen()
    device.on_state(seen.state)
    began = time.monotonic()
    server.drop(DEVICE.jid, back_after=0.05)
    assert not (await seen.states.get()).up
    assert (await seen.states.get()).up
    assert time.monotonic() - began >= 0.045


async def test_one_of_several_links_can_be_dropped(server: MemoryServer, device: MemoryLink) -> None:
    async with server.link(DEVICE) as other:
        server.drop(other.jid, back_after=None)
        assert (device.state.up, other.state.up) == (True, False)
        server.drop(DEVICE.jid, back_after=None)
        assert (device.state.up, other.state.up) == (False, False)


async def test_a_link_that_is_not_there_cannot_be_dropped_or_restored(server: MemoryServer) -> None:
    server.link(DEVICE)
    with pytest.raises(InvalidError, match=r"device@localhost"):
        server.drop(DEVICE.jid)
    with pytest.raises(InvalidError, match=r"device@localhost"):
        server.restore(DEVICE.jid)


async def test_a_closed_link_does_not_come_back(server: MemoryServer) -> None:
    async with server.link(DEVICE) as link:
        server.drop(DEVICE.jid, back_after=0.0)
    await asyncio.sleep(0.01)
    assert not link.state.up


async def test_a_new_password_keeps_a_dropped_link_down(server: MemoryServer, device: MemoryLink) -> None:
    await server.create_account(DEVICE.jid, "another", renew=True)
    server.drop(DEVICE.jid, back_after=None)
    server.restore(DEVICE.jid)
    assert not device.state.up
    assert "refused" in device.state.reason


async def test_deleting_an_account_takes_its_links_down(server: MemoryServer, device: MemoryLink) -> None:
    await server.delete_account(DEVICE.jid)
    assert device.state == LinkState(up=False, reason="the account was deleted")


async def test_refused_publishes(server: MemoryServer, device: MemoryLink, reader: MemoryLink) -> None:
    server.refuse_publish(NODE, times=2)
    for _ in range(2):
        with pytest.raises(StanzaError) as raised:
            await device.publish(NODE, Element("x"), item_id="1")
        assert raised.value.condition == "internal-server-error"
    server.refuse_publish(NODE, "forbidden")
    with pytest.raises(ForbiddenError):
        await device.publish(NODE, Element("x"), item_id="1")
    await device.publish(NODE, Element("x"), item_id="2")
    assert published_ids(await reader.items(NODE, newest=5)) == ["2"]


async def test_delayed_answers(server: MemoryServer, device: MemoryLink) -> None:
    server.delay(0.2)
    began = time.monotonic()
    await asyncio.gather(*(device.publish(NODE, Element("x"), item_id=str(n)) for n in range(5)))
    took = time.monotonic() - began
    assert 0.19 <= took < 5 * 0.2
    server.delay(0)
    assert published_ids(await device.items(NODE, newest=5)) == list("01234")


async def test_a_delay_over_the_timeout_is_no_answer(server: MemoryServer, device: MemoryLink) -> None:
    server.delay(0.1)
    with pytest.raises(NoAnswerError):
        await device.publish(NODE, Element("x"), item_id="done all the same", timeout=0.02)
    server.delay(0)
    assert published_ids(await device.items(NODE)) == ["done all the same"]


async def test_a_silenced_account_gets_no_answers_until_that_ends(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    speak = server.silence(DEVICE.jid)
    with pytest.raises(NoAnswerError):
        await device.publish(NODE, Element("x"), item_id="done all the same", timeout=0.02)
    assert published_ids(await reader.items(NODE)) == ["done all the same"]
    speak()
    await device.publish(NODE, Element("x"), item_id="2")


async def test_a_silenced_account_gives_no_answers(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    server.silence(DEVICE.jid)
    with pytest.raises(NoAnswerError):
        await reader.call(device.jid, Element("{urn:test}do"), timeout=0.02)


async def test_a_drop_fails_what_a_silenced_account_waits_for(
    server: MemoryServer, device: MemoryLink
) -> None:
    server.silence(DEVICE.jid)
    publish = asyncio.create_task(device.publish(NODE, Element("x"), item_id="1"))
    await asyncio.sleep(0)
    server.drop(DEVICE.jid)
    with pytest.raises(LinkDownError):
        await publish


async def test_the_limit_counts_the_bytes_of_the_serialised_payload() -> None:
    server = MemoryServer(max_bytes=100)
    await server.create_account(DEVICE.jid, "device's")
    await server.create_node(NODE, NodePolicy(publisher=DEVICE.jid))
    async with server.link(DEVICE) as link:
        fits, too_large = Element("x"), Element("x")
        fits.text, too_large.text = "y" * 93, "y" * 94
        await link.publish(NODE, fits, item_id="1")
        with pytest.raises(InvalidError, match="101 bytes"):
            await link.publish(NODE, too_large, item_id="2")


async def test_a_session_that_is_unavailable_is_not_notified(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    seen = Seen()
    await reader.subscribe(NODE, seen.item)
    await reader.announce(Presence(available=False))
    await device.publish(NODE, Element("x"), item_id="1")
    await reader.announce(Presence())
    await device.publish(NODE, Element("x"), item_id="2")
    assert (await seen.items.get()).id == "2"


async def test_a_link_may_be_closed_by_its_own_handler(server: MemoryServer, device: MemoryLink) -> None:
    before = asyncio.all_tasks()
    closed = asyncio.Event()
    link = server.link(READER)

    async def close(item: Item) -> None:
        await link.__aexit__(None, None, None)
        closed.set()

    await link.__aenter__()
    await link.subscribe(NODE, close)
    await device.publish(NODE, Element("x"), item_id="1")
    await device.publish(NODE, Element("x"), item_id="2")
    await closed.wait()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_features_can_be_read(device: MemoryLink) -> None:
    device.advertise("urn:a", "urn:b")
    device.advertise("urn:b", "urn:c")
    assert device.features == {"urn:a", "urn:b", "urn:c"}


async def test_a_node_can_live_on_an_accounts_own_service(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    own = NodeAddress(service=DEVICE.jid, node=NODE.node)
    await server.create_node(own, NodePolicy(publisher=DEVICE.jid, readers=(READER.jid,)))
    seen = Seen()
    await reader.subscribe(own, seen.item)
    await device.publish(own, Element("x"), item_id="own")
    assert (await seen.items.get()).node == own
    assert await reader.nodes(DEVICE.jid) == [own]
    assert await reader.nodes(server.service) == [NODE]


async def test_a_missing_node_is_not_found(device: MemoryLink) -> None:
    missing = NodeAddress(service=NODE.service, node="missing")
    with pytest.raises(NotFoundError, match=r"missing at pubsub\.localhost"):
        await device.publish(missing, Element("x"), item_id="1")
    with pytest.raises(NotFoundError):
        await device.items(missing)


async def test_a_missing_service_is_unreachable(device: MemoryLink) -> None:
    with pytest.raises(UnreachableError):
        await device.nodes("pubsub.example.org")


async def test_a_node_needs_a_service_that_is_there(server: MemoryServer) -> None:
    elsewhere = NodeAddress(service="pubsub.example.org", node="any")
    with pytest.raises(UnreachableError):
        await server.create_node(elsewhere, NodePolicy(publisher=DEVICE.jid))
    with pytest.raises(UnreachableError):
        await server.nodes("pubsub.example.org")


async def test_a_deleted_account_is_followed_by_nobody_when_it_is_new(
    server: MemoryServer, reader: MemoryLink
) -> None:
    seen = Seen()
    reader.on_presence(seen.presence)
    async with server.link(DEVICE) as link:
        link.admit(lambda _: True)
        await reader.follow(DEVICE.jid)
        assert (await seen.presences.get()).available
    assert not (await seen.presences.get()).available
    await server.delete_account(DEVICE.jid)
    await server.create_account(DEVICE.jid, "device's")
    async with server.link(DEVICE):
        await asyncio.sleep(0.01)
    assert seen.presences.empty()


async def test_who_unfollows_sees_the_followed_leave(
    server: MemoryServer, device: MemoryLink, reader: MemoryLink
) -> None:
    seen = Seen()
    device.admit(lambda _: True)
    reader.on_presence(seen.presence)
    await reader.follow(DEVICE.jid)
    assert (await seen.presences.get()).available
    await reader.unfollow(DEVICE.jid)
    assert await seen.presences.get() == Presence(sender=device.jid, available=False)
