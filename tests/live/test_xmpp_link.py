"""The link on real servers: cuts, resumption, keepalive, restarts, and sessions that end each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import pytest
import pytest_asyncio

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress, bare_jid
from iotxmpp.backoff import Backoff
from iotxmpp.errors import LinkDownError
from iotxmpp.link import Item, LinkState, Presence, Request
from iotxmpp.provisioning import NodePolicy
from iotxmpp.server import ServerKind
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp import link as link_module
from tests.live.site import Site, quick, until
from tests.proxy import Proxy
from tests.servers import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAG = "{urn:test:link}it"


class Recorded:
    """A link, and all that its handlers were given."""

    def __init__(
        self, account: Account, *, resource: str | None = None, backoff: Backoff | None = None
    ) -> None:
        self.account = account
        self.link = XmppLink(account, resource=resource, backoff=backoff or quick())
        self.states: list[LinkState] = []
        self.items: list[str] = []
        self.requests: list[str] = []
        self.presences: list[Presence] = []
        self.link.on_state(self.states.append)
        self.link.on_presence(self._presence)
        self.link.serve(TAG, self._request)

    async def item(self, item: Item) -> None:
        self.items.append(item.id)

    async def _presence(self, presence: Presence) -> None:
        self.presences.append(presence)

    async def _request(self, request: Request) -> Element:
        self.requests.append(request.payload.text or "")
        return Element(TAG)

    async def is_down(self) -> None:
        await until(lambda: not self.link.state.up, "the link is down")

    async def is_back(self, *, times: int = 2) -> LinkState:
        await until(lambda: sum(state.up for state in self.states) >= times, "the link is back")
        return [state for state in self.states if state.up][times - 1]

    def cut(self) -> None:
        client = self.link._client
        assert client is not None
        assert client.transport is not None
        client.transport.abort()


class Lab:
    """Links of one test, some of them behind a proxy."""

    def __init__(self, site: Site, stack: AsyncExitStack) -> None:
        self.site = site
        self._stack = stack

    async def join(self, name: str) -> Recorded:
        return await self.open(Recorded(await self.site.account(name)))

    async def join_behind(self, name: str) -> tuple[Recorded, Proxy]:
        proxy = await self._stack.enter_async_context(Proxy("127.0.0.1", self.site.server.port))
        account = await self.site.account(name)
        here = {"host": "127.0.0.1", "port": proxy.port, "tls": "starttls"}
        return await self.open(Recorded(account.model_copy(update=here))), proxy

    async def open(self, recorded: Recorded) -> Recorded:
        await self._stack.enter_async_context(recorded.link)
        return recorded

    async def node(self, publisher: Recorded, reader: Recorded) -> NodeAddress:
        node = NodeAddress(service=self.site.server.service, node=f"test/{publisher.account.name}")
        policy = NodePolicy(publisher=publisher.account.jid, readers=(reader.account.jid,))
        await self.site.provisioner.create_node(node, policy)
        await reader.link.subscribe(node, reader.item)
        return node


@pytest_asyncio.fixture(loop_scope="module")
async def lab(site: Site) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        yield Lab(site, stack)


def _text(text: str) -> Element:
    element = Element(TAG)
    element.text = text
    return element


@pytest.mark.parametrize("tls", ["starttls", "direct", "auto"])
async def test_each_way_to_tls(site: Site, tls: Literal["starttls", "direct", "auto"]) -> None:
    server = site.server
    port = server.direct_port if tls == "direct" else server.port
    account = await site.account("device")
    async with XmppLink(account.model_copy(update={"tls": tls, "host": "127.0.0.1", "port": port})) as link:
        assert link._client is not None
        assert link._client.encrypted


async def test_a_cut_session_is_resumed_and_loses_no_notification(lab: Lab) -> None:
    publisher = await lab.join("publisher")
    reader, proxy = await lab.join_behind("reader")
    node = await lab.node(publisher, reader)
    jid = reader.link.jid
    proxy.refuse()
    await reader.is_down()
    for number in range(3):
        await publisher.link.publish(node, Element(TAG), item_id=f"meanwhile-{number}")
    proxy.resume()
    assert (await reader.is_back()).resumed
    assert reader.link.jid == jid
    await publisher.link.publish(node, Element(TAG), item_id="after")
    await until(lambda: "after" in reader.items, "the items")
    assert list(dict.fromkeys(reader.items)) == ["meanwhile-0", "meanwhile-1", "meanwhile-2", "after"]


async def test_a_connection_that_we_lose_ourselves_is_resumed(lab: Lab) -> None:
    device = await lab.join("device")
    for number in range(3):
        device.cut()
        assert (await device.is_back(times=2 + number)).resumed
    assert [state.up for state in device.states] == [True, False] * 3 + [True]


async def test_a_request_that_failed_is_not_sent_after_all(lab: Lab) -> None:
    reader = await lab.join("reader")
    device, proxy = await lab.join_behind("device")
    node = await lab.node(device, reader)
    proxy.black_hole()
    failing = [
        asyncio.create_task(device.link.publish(node, Element(TAG), item_id="failed")),
        asyncio.create_task(device.link.call(reader.link.jid, _text("failed"))),
    ]
    await asyncio.sleep(0.1)  # both are on their way, and stay there
    assert not any(task.done() for task in failing)
    proxy.reset()
    proxy.resume()
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LinkDownError, LinkDownError]
    assert (await device.is_back()).resumed
    await device.link.call(reader.link.jid, _text("marker"))
    await device.link.publish(node, Element(TAG), item_id="marker")
    await until(lambda: "marker" in reader.items, "the marker")
    assert (reader.requests, reader.items) == (["marker"], ["marker"])


async def test_an_answer_that_was_lost_in_a_cut_arrives_after_the_resumption(lab: Lab) -> None:
    caller = await lab.join("caller")
    device, proxy = await lab.join_behind("device")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Element:
        asked.set()
        await go_on.wait()
        return Element(TAG)

    device.link.serve("{urn:test:link}slow", slow)
    call = asyncio.create_task(caller.link.call(device.link.jid, Element("{urn:test:link}slow")))
    await asked.wait()
    proxy.black_hole()
    go_on.set()
    await asyncio.sleep(0.1)  # the answer is on its way, and stays there
    assert not call.done()
    proxy.reset()
    proxy.resume()
    assert (await device.is_back()).resumed
    answer = await call
    assert answer is not None
    assert answer.tag == TAG


async def test_nothing_waits_in_the_client_for_the_next_session(lab: Lab) -> None:
    reader = await lab.join("reader")
    device, proxy = await lab.join_behind("device")
    proxy.refuse()
    await device.is_down()
    client = device.link._client
    assert client is not None
    for number in range(3):
        client.send(client.make_message(reader.link.jid, f"late {number}"))
        client.send(client.make_presence(pto=reader.link.jid, pstatus="late"))
    proxy.resume()
    await device.is_back()
    await device.link.call(reader.link.jid, _text("marker"))
    assert [presence for presence in reader.presences if presence.text == "late"] == []


async def test_an_answer_too_large_for_the_stream_ends_nothing(lab: Lab) -> None:
    device, caller = await lab.join("device"), await lab.join("caller")

    async def serve(request: Request) -> Element:
        return _text("x" * 300_000)

    device.link.serve("{urn:test:link}large", serve)
    with pytest.raises(Exception, match="internal-server-error"):
        await caller.link.call(device.link.jid, Element("{urn:test:link}large"))
    await caller.link.call(device.link.jid, _text("marker"))
    assert [state.up for state in device.states] == [True]


async def test_a_link_that_has_gone_silent_is_cut(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_EVERY", 0.1)
    monkeypatch.setattr(link_module, "PING_TIMEOUT", 0.2)
    device, proxy = await lab.join_behind("device")
    await asyncio.sleep(0.5)  # several pings are answered
    assert [state.up for state in device.states] == [True]
    proxy.black_hole()
    await device.is_down()
    proxy.resume()
    await device.is_back()


async def test_the_newer_of_two_sessions_of_one_resource_stays(lab: Lab) -> None:
    bounds: list[tuple[float, float]] = []

    def choose(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    account = await lab.site.account("device")
    older = await lab.open(Recorded(account, resource="one", backoff=Backoff(choose=choose)))
    newer = await lab.open(Recorded(account, resource="one"))
    await older.is_down()
    await until(lambda: bool(bounds), "the delay of the older")
    assert older.link.state.reason == "conflict"
    assert bounds == [(60.0, 120.0)]
    assert newer.link.jid == f"{account.jid}/one"
    await newer.link.call(newer.link.jid, _text("still here"))
    assert newer.requests == ["still here"]


@pytest.mark.parametrize("works", [True, False])
async def test_the_pauses_grow_only_while_no_session_works(lab: Lab, works: bool) -> None:
    bounds: list[float] = []

    def choose(_low: float, high: float) -> float:
        bounds.append(high)
        return 0.02

    account = await lab.site.account("device")
    device = await lab.open(Recorded(account, backoff=Backoff(choose=choose)))
    for before in range(1, 5):
        if works:
            await device.link.call(device.link.jid, _text("hello"))
        await lab.site.end_session(device.link.jid)
        await device.is_back(times=before + 1)
    assert bounds == ([1.0, 2.0, 2.0, 2.0] if works else [1.0, 2.0, 4.0, 8.0])


async def test_a_session_that_ended_at_the_server_begins_anew(lab: Lab) -> None:
    follower, device = await lab.join("follower"), await lab.join("device")
    device.link.admit(lambda jid: jid == bare_jid(follower.link.jid))
    await follower.link.follow(device.account.jid)
    await device.link.announce(Presence(show="away", text="before"))
    await until(lambda: any(it.text == "before" for it in follower.presences), "the first presence")
    follower.presences.clear()
    await lab.site.end_session(device.link.jid)
    assert not (await device.is_back()).resumed
    await until(
        lambda: any(it.available and it.text == "before" for it in follower.presences),
        "the presence of the new session",
    )


@pytest.mark.parametrize("kind", list(ServerKind))
async def test_a_server_that_restarts_is_joined_anew(kind: ServerKind, tmp_path: Path) -> None:
    with running(kind) as server:
        async with AsyncExitStack() as stack:
            async with Site(server, tmp_path) as site:
                lab = Lab(site, stack)
                publisher, reader = await lab.join("publisher"), await lab.join("reader")
                publisher.link.admit(lambda _: True)
                await reader.link.follow(publisher.account.jid)
                await publisher.link.announce(Presence(text="hello"))
                node = await lab.node(publisher, reader)
                await until(_seen(reader, publisher), "the first presence")
            await server.stop()
            await publisher.is_down()
            await reader.is_down()
            reader.presences.clear()
            await server.start()
            assert not (await reader.is_back()).resumed
            assert not (await publisher.is_back()).resumed
            await until(_seen(reader, publisher), "the presence after the restart")
            await publisher.link.publish(node, Element(TAG), item_id="after")
            await until(lambda: reader.items == ["after"], "the item")


def _seen(reader: Recorded, publisher: Recorded) -> Callable[[], bool]:
    return lambda: any(
        it.text == "hello" and bare_jid(it.sender) == publisher.account.jid for it in reader.presences
    )
