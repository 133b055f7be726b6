"""Requests between sessions: call and serve."""

import asyncio
import logging
import time
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
    UnreachableError,
    stanza_error,
)
from iotxmpp.link import PING, Request
from tests.contract.world import ON_ONE_LOOP, PATIENCE, TOO_LARGE, Collected, World, payload, text_of

pytestmark = ON_ONE_LOOP

TAG = payload().tag


async def test_a_request_is_answered(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    got: Collected[Request] = Collected()

    async def serve(request: Request) -> Element:
        got.add(request)
        return payload("answer & <more>", unit="°C")

    device.serve(TAG, serve)
    answer = await caller.call(device.jid, payload("question", n="1"))
    assert text_of(answer) == "answer & <more>"
    assert answer is not None
    assert (answer.tag, answer.get("unit")) == (TAG, "°C")
    request = got.all[0]
    assert (request.sender, text_of(request.payload), request.payload.get("n")) == (
        caller.jid,
        "question",
        "1",
    )


async def test_an_answer_may_hold_no_payload(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> None:
        return None

    device.serve(TAG, serve)
    assert await caller.call(device.jid, payload()) is None


async def test_a_ping_is_answered_by_a_link_itself(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    assert await caller.call(device.jid, Element(PING), kind="get") is None


async def test_a_ping_is_answered_by_the_server_itself(world: World) -> None:
    caller = await world.join("caller")
    assert await caller.call(world.backend.domain, Element(PING), kind="get") is None


async def test_a_ping_to_a_session_that_is_over_is_refused_and_to_one_that_is_cut_not_answered(
    world: World,
) -> None:
    caller = await world.join("caller")
    async with world.backend.link(await world.backend.account("device")) as device:
        gone = device.jid
    with pytest.raises(UnreachableError):
        await caller.call(gone, Element(PING), kind="get")
    silent = await world.join("silent")
    await world.backend.stall(silent)
    with pytest.raises(NoAnswerError):
        await caller.call(silent.jid, Element(PING), kind="get", timeout=0.3)
    await world.backend.release(silent)


async def test_the_kind_arrives(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    kinds: Collected[str] = Collected()

    async def serve(request: Request) -> None:
        kinds.add(request.kind)

    device.serve(TAG, serve)
    await caller.call(device.jid, payload(), kind="get")
    await caller.call(device.jid, payload(), kind="set")
    await caller.call(device.jid, payload())
    assert kinds.all == ["get", "set", "set"]


async def test_each_tag_has_its_own_handler(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def one(request: Request) -> Element:
        return payload("one")

    async def two(request: Request) -> Element:
        return payload("two")

    device.serve("{urn:test:contract}one", one)
    device.serve("{urn:test:contract}two", two)
    assert text_of(await caller.call(device.jid, Element("{urn:test:contract}two"))) == "two"
    assert text_of(await caller.call(device.jid, Element("{urn:test:contract}one"))) == "one"


async def test_a_request_to_an_absent_session_is_unreachable(world: World) -> None:
    caller = await world.join("caller")
    account = await world.backend.account("device")
    with pytest.raises(UnreachableError):
        await caller.call(f"{account.jid}/nobody", payload())


async def test_a_request_to_a_closed_session_is_unreachable(world: World) -> None:
    caller = await world.join("caller")
    async with world.backend.link(await world.backend.account("device")) as device:
        gone = device.jid
    with pytest.raises(UnreachableError):
        await caller.call(gone, payload())


async def test_a_tag_that_nobody_serves_is_answered_with_service_unavailable(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    with pytest.raises(UnreachableError) as raised:
        await caller.call(device.jid, payload())
    assert raised.value.condition == "service-unavailable"


async def test_a_cancelled_service_serves_no_more_and_frees_its_tag(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> Element:
        return payload("old")

    async def serve_anew(request: Request) -> Element:
        return payload("new")

    cancel = device.serve(TAG, serve)
    cancel()
    with pytest.raises(UnreachableError):
        await caller.call(device.jid, payload())
    device.serve(TAG, serve_anew)
    cancel()
    assert text_of(await caller.call(device.jid, payload())) == "new"


async def test_a_tag_is_served_once(world: World) -> None:
    device = await world.join("device")

    async def serve(request: Request) -> None:
        return None

    device.serve(TAG, serve)
    with pytest.raises(InvalidError):
        device.serve(TAG, serve)


_ERRORS = {
    "forbidden": ForbiddenError,
    "item-not-found": NotFoundError,
    "conflict": ConflictError,
    "recipient-unavailable": UnreachableError,
    "bad-request": StanzaError,
}


async def test_a_handlers_stanza_error_arrives_as_such(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> None:
        raise stanza_error(text_of(request.payload), "not like <this> & that", "{urn:test:contract}why")

    device.serve(TAG, serve)
    for condition, kind in _ERRORS.items():
        with pytest.raises(StanzaError) as raised:
            await caller.call(device.jid, payload(condition))
        assert type(raised.value) is kind
        assert raised.value.condition == condition
        assert raised.value.text == "not like <this> & that"
        assert raised.value.detail == "{urn:test:contract}why"


async def test_a_stanza_error_without_text_and_detail_arrives_without(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> None:
        raise stanza_error("conflict")

    device.serve(TAG, serve)
    with pytest.raises(ConflictError) as raised:
        await caller.call(device.jid, payload())
    assert (raised.value.text, raised.value.detail) == ("", None)


async def test_a_raising_handler_is_an_internal_error_without_details(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> None:
        raise RuntimeError("the password is sesame")

    device.serve(TAG, serve)
    with pytest.raises(StanzaError) as raised:
        await caller.call(device.jid, payload())
    assert raised.value.condition == "internal-server-error"
    assert raised.value.detail is None
    assert "sesame" not in str(raised.value)
    logged = [it for it in caplog.records if it.name.startswith("iotxmpp") and it.levelno >= logging.ERROR]
    assert any(it.exc_info and "sesame" in str(it.exc_info[1]) for it in logged)
    assert device.state.up


@pytest.mark.parametrize("text", ["\x00", "x" * TOO_LARGE], ids=["NUL", "300 kB"])
async def test_an_answer_that_cannot_travel_is_an_internal_error(world: World, text: str) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> Element:
        return payload(text if text_of(request.payload) == "bad" else "good")

    device.serve(TAG, serve)
    full = device.jid
    with pytest.raises(StanzaError) as raised:
        await caller.call(full, payload("bad"))
    assert raised.value.condition == "internal-server-error"
    assert text_of(await caller.call(full, payload("good"))) == "good"


async def test_an_error_text_that_cannot_travel_does_not_break_the_link(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> Element:
        if text_of(request.payload) == "bad":
            raise stanza_error("bad-request", "a \x1b[31mred\x1b[0m text")
        return payload("good")

    device.serve(TAG, serve)
    full = device.jid
    with pytest.raises(StanzaError):
        await caller.call(full, payload("bad"))
    assert text_of(await caller.call(full, payload("good"))) == "good"


async def test_a_slow_request_does_not_block_a_quick_one(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    finish = asyncio.Event()

    async def serve(request: Request) -> Element:
        if text_of(request.payload) == "slow":
            await finish.wait()
        return payload(text_of(request.payload))

    device.serve(TAG, serve)
    slow = asyncio.create_task(caller.call(device.jid, payload("slow")))
    assert text_of(await caller.call(device.jid, payload("quick"))) == "quick"
    assert not slow.done()
    finish.set()
    assert text_of(await slow) == "slow"


async def test_a_served_request_does_not_block_items(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    node = await world.node(caller, [device])
    finish = asyncio.Event()

    async def serve(request: Request) -> None:
        await finish.wait()

    async def finish_it(item: object) -> None:
        finish.set()

    device.serve(TAG, serve)
    await device.subscribe(node, finish_it)
    slow = asyncio.create_task(caller.call(device.jid, payload()))
    await caller.publish(node, payload(), item_id="1")
    async with asyncio.timeout(PATIENCE):
        assert await slow is None


async def test_a_handler_may_call_back(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")

    async def serve(request: Request) -> Element | None:
        return await device.call(request.sender, payload("back"))

    async def serve_back(request: Request) -> Element:
        return payload(f"{text_of(request.payload)} and forth")

    device.serve(TAG, serve)
    caller.serve(TAG, serve_back)
    assert text_of(await caller.call(device.jid, payload())) == "back and forth"


async def test_no_answer_in_time(world: World) -> None:
    device, caller = await world.join("device"), await world.join("caller")
    finish = asyncio.Event()

    async def serve(request: Request) -> Element:
        if text_of(request.payload) == "slow":
            await finish.wait()
        return payload(text_of(request.payload))

    device.serve(TAG, serve)
    began = time.monotonic()
    with pytest.raises(NoAnswerError):
        await caller.call(device.jid, payload("slow"), timeout=0.05)
    assert time.monotonic() - began < 5
    finish.set()  # the late answer is nobody's
    assert text_of(await caller.call(device.jid, payload("next"))) == "next"


async def test_a_request_of_ones_own_account_is_served(world: World) -> None:
    account = await world.backend.account("twice")
    first, second = await world.enter(account), await world.enter(account)
    assert first.jid != second.jid
    assert bare_jid(first.jid) == bare_jid(second.jid) == account.jid

    async def serve(request: Request) -> Element:
        return payload(request.sender)

    first.serve(TAG, serve)
    assert text_of(await second.call(first.jid, payload())) == second.jid
