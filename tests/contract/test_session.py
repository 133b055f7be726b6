"""The session: entering, closing, cuts, what state says, and what a cut does to requests."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from xml.etree.ElementTree import Element

import pytest
from pydantic import SecretStr

from iotxmpp.addresses import NodeAddress, bare_jid
from iotxmpp.errors import CredentialsError, LinkDownError, NoAnswerError
from iotxmpp.link import Item, Link, LinkState, Request, RequestHandler
from tests.contract.world import (
    ON_ONE_LOOP,
    PATIENCE,
    Collected,
    World,
    is_down,
    is_up,
    payload,
    severed,
    text_of,
)

pytestmark = ON_ONE_LOOP

TAG = payload().tag
AT_ONCE = 2.0
"""Seconds; far below a request's timeout."""


async def _ignore(_: object) -> None:
    return None


def _never(called: Collected[Request]) -> RequestHandler:
    async def serve(request: Request) -> None:
        called.add(request)
        await asyncio.Event().wait()

    return serve


async def test_the_jid_is_bare_before_and_full_while_up(world: World) -> None:
    account = await world.backend.account("device")
    link = world.backend.link(account)
    assert link.jid == account.jid
    async with link:
        bare, _, resource = link.jid.partition("/")
        assert bare == account.jid
        assert resource


async def test_a_wrong_password_is_refused(world: World) -> None:
    account = await world.backend.account("device")
    wrong = account.model_copy(update={"password": SecretStr("wrong")})
    link = world.backend.link(wrong)
    with pytest.raises(CredentialsError):
        await link.__aenter__()
    assert not link.state.up


async def test_an_unknown_account_is_refused(world: World) -> None:
    known = await world.backend.account("device")
    unknown = known.model_copy(update={"jid": f"no-{secrets.token_hex(4)}@{world.backend.domain}"})
    with pytest.raises(CredentialsError):
        await world.backend.link(unknown).__aenter__()


async def test_state_tells_of_entering_and_closing(world: World) -> None:
    link = world.backend.link(await world.backend.account("device"))
    states: Collected[LinkState] = Collected()
    link.on_state(states.add)
    assert not link.state.up
    assert link.state.reason
    async with link:
        assert link.state == LinkState(up=True)
    assert not link.state.up
    assert [state.up for state in states.all] == [True, False]
    assert states.all[1].reason


async def test_state_tells_of_a_cut_and_of_the_return(world: World) -> None:
    link = await world.join("device")
    states: Collected[LinkState] = Collected()
    link.on_state(states.add)
    await world.backend.cut(link)
    down = await states.until(lambda state: not state.up)
    up = await states.until(lambda state: state.up)
    assert down.reason
    assert up.reason == ""
    assert states.all.index(down) < states.all.index(up)
    assert link.state == up


async def test_a_renewed_session_is_not_resumed(world: World) -> None:
    link = await world.join("device")
    up = await severed(world.backend.renew, link)
    assert not up.resumed


async def test_a_cancelled_or_raising_state_handler_disturbs_nothing(world: World) -> None:
    link = await world.join("device")
    cancelled, states = Collected[LinkState](), Collected[LinkState]()

    def bad(state: LinkState) -> None:
        raise RuntimeError("a state handler that raises")

    link.on_state(bad)
    cancel = link.on_state(cancelled.add)
    link.on_state(states.add)
    cancel()
    cancel()
    await world.backend.cut(link)
    await states.until(lambda state: state.up)
    assert cancelled.all == []


async def test_closing_ends_every_task_of_the_link(world: World) -> None:
    account = await world.backend.account("device")
    before = asyncio.all_tasks()
    async with world.backend.link(account) as link:
        link.on_presence(_ignore)
    if left := asyncio.all_tasks() - before:
        await asyncio.wait(left, timeout=PATIENCE)  # a transport may take a moment to close
    assert asyncio.all_tasks() <= before


async def test_after_closing_every_request_fails_at_once(world: World) -> None:
    device = world.backend.link(await world.backend.account("device"))
    async with device:
        node = await world.node(device)
    with pytest.raises(LinkDownError):
        await device.publish(node, payload(), item_id="1")


async def test_before_entering_every_request_fails_at_once(world: World) -> None:
    device = world.backend.link(await world.backend.account("device"))
    with pytest.raises(LinkDownError):
        await device.publish(world.missing_node(), payload(), item_id="1")


async def test_closing_fails_the_requests_under_way(world: World) -> None:
    served = await world.join("device")
    called: Collected[Request] = Collected()
    served.serve(TAG, _never(called))
    async with world.backend.link(await world.backend.account("caller")) as caller:
        call = asyncio.create_task(caller.call(served.jid, payload()))
        await called.count(1)
    with pytest.raises(LinkDownError):
        async with asyncio.timeout(AT_ONCE):
            await call


async def test_a_link_that_is_down_closes(world: World) -> None:
    device = world.backend.link(await world.backend.account("device"))
    async with device:
        await world.backend.hold(device)
        await is_down(device)
    assert not device.state.up


async def test_a_pending_publish_fails_at_once_when_cut(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device)
    await world.backend.stall(device)
    publish = asyncio.create_task(device.publish(node, payload(), item_id="1", timeout=60))
    await asyncio.sleep(0.05)
    assert not publish.done()
    await world.backend.cut(device)
    with pytest.raises(LinkDownError):
        async with asyncio.timeout(AT_ONCE):
            await publish
    await is_up(device)
    await device.publish(node, payload(), item_id="2")


async def test_a_pending_call_fails_at_once_when_cut(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    called: Collected[Request] = Collected()
    device.serve(TAG, _never(called))
    call = asyncio.create_task(caller.call(device.jid, payload(), timeout=60))
    await called.count(1)
    await world.backend.cut(caller)
    with pytest.raises(LinkDownError):
        async with asyncio.timeout(AT_ONCE):
            await call


async def test_a_publish_whose_answer_never_comes_is_no_answer(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device)
    await world.backend.stall(device)
    with pytest.raises(NoAnswerError):
        await device.publish(node, payload(), item_id="1", timeout=0.05)
    await world.backend.release(device)


_REQUESTS: dict[str, Callable[[Link, Link, NodeAddress], Awaitable[object]]] = {
    "publish": lambda link, _, node: link.publish(node, payload("while down"), item_id="down"),
    "call": lambda link, other, _: link.call(other.jid, payload("while down")),
    "items": lambda link, _, node: link.items(node),
    "subscribe": lambda link, _, node: link.subscribe(node, _ignore),
    "nodes": lambda link, _, node: link.nodes(node.service),
    "follow": lambda link, other, _: link.follow(bare_jid(other.jid)),
    "unfollow": lambda link, other, _: link.unfollow(bare_jid(other.jid)),
}


async def test_while_down_every_request_fails_at_once(world: World) -> None:
    device, other = await world.join("device"), await world.join("other")
    node = await world.node(device)
    await world.backend.hold(device)
    await is_down(device)
    for ask in _REQUESTS.values():
        began = time.monotonic()
        with pytest.raises(LinkDownError):
            await ask(device, other, node)
        assert time.monotonic() - began < AT_ONCE


async def test_nothing_that_was_asked_while_down_is_sent_later(world: World) -> None:
    device, other = await world.join("device"), await world.join("other")
    node = await world.node(device, [other])
    items, requests = Collected[Item](), Collected[str]()

    async def serve(request: Request) -> Element:
        requests.add(text_of(request.payload))
        return payload()

    other.serve(TAG, serve)
    await other.subscribe(node, items)
    await world.backend.hold(device)
    await is_down(device)
    for name in ("publish", "call"):
        with pytest.raises(LinkDownError):
            await _REQUESTS[name](device, other, node)
    await world.backend.release(device)
    await is_up(device)
    await device.call(other.jid, payload("marker"))
    await device.publish(node, payload(), item_id="marker")
    await items.until(lambda item: item.id == "marker")
    assert {item.id for item in items.all} == {"marker"}
    assert requests.all == ["marker"]


async def test_a_link_serves_again_after_a_cut(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> Element:
        return payload("served")

    device.serve(TAG, serve)
    for sever in (world.backend.cut, world.backend.renew):
        await severed(sever, device)
        assert text_of(await caller.call(device.jid, payload())) == "served"


async def test_a_link_survives_several_cuts(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device)
    for number in range(3):
        await severed(world.backend.cut, device)
        await device.publish(node, payload(), item_id=str(number))
    assert [item.id for item in await device.items(node)] == ["2"]


async def test_accounts_of_one_server_do_not_disturb_each_other(world: World) -> None:
    device, other = await world.join("device"), await world.join("other")
    states: Collected[LinkState] = Collected()
    other.on_state(states.add)
    await severed(world.backend.cut, device)
    assert states.all == []
    assert other.state.up
