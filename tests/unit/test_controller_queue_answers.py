"""Queued commands whose answer is lost: asked for again, or unknown."""

import asyncio
import json
from typing import Literal
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.commands import CommandCall
from iotxmpp.errors import CommandUnknownError, stanza_error
from iotxmpp.link import Presence
from iotxmpp.status import DeviceStatus
from tests.unit.controller_world import HOUSE, SOON, about_of, until
from tests.unit.queue_case import Case, Journaled, describes

ONCE: tuple[Literal["journal"], Literal["idempotent"]] = ("journal", "idempotent")


@pytest.mark.parametrize("once", ONCE)
async def test_a_lost_answer_is_asked_for_under_the_same_id(
    case: Case, once: Literal["journal", "idempotent"]
) -> None:
    device = Journaled(case.played).serve()
    await case.played.describe(about_of("hall", commands=describes(once)))
    await until(lambda: case.device.about is not None and case.device.about.commands["water"].once == once)

    async def late_at_first(_call: CommandCall) -> None:
        if len(device.calls) < 3:
            await asyncio.sleep(0.2)

    device.after = late_at_first
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON) == {"n": 1}
    assert len({call.id for call in device.calls}) == 1
    assert (device.ran, len(device.calls)) == ([1], 3)


async def test_the_answer_is_asked_for_in_the_devices_next_session(case: Case) -> None:
    device = Journaled(case.played).serve()
    dropped = False

    async def drop_once(_call: CommandCall) -> None:
        nonlocal dropped
        if not dropped:
            dropped = True
            case.world.server.drop("hall@localhost", back_after=0.05)

    device.after = drop_once
    result = await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON)
    assert (result, device.ran) == ({"n": 1}, [1])


async def test_the_answer_is_asked_for_when_our_own_link_is_back(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def cut_ours(_call: CommandCall) -> None:
        if len(device.calls) == 1:
            case.world.server.drop(HOUSE, back_after=0.05)

    device.after = cut_ours
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON) == {"n": 1}
    assert (device.ran, len(device.calls)) == ([1], 2)


async def test_a_device_that_does_not_say_that_it_remembers_is_not_asked_twice(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.played.describe(
        about_of("hall", commands=describes(None)).model_copy(update={"version": "old"})
    )
    bare = Element("x")
    bare.tag = "{urn:xmpp:json:0}json"
    bare.text = json.dumps({"device": "hall", "commands": {"water": {"description": ""}}})
    await case.played.describe(bare)
    await until(
        lambda: case.device.about and "once" not in case.device.about.commands["water"].model_fields_set
    )

    async def cut_ours(_call: CommandCall) -> None:
        case.world.server.drop(HOUSE, back_after=0.02)

    device.after = cut_ours
    with pytest.raises(CommandUnknownError, match="may have run"):
        await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON)
    await asyncio.sleep(0.1)
    assert len(device.calls) == 1


async def test_a_journal_in_memory_that_was_lost_leaves_it_unknown(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def power_cut(_call: CommandCall) -> None:
        await case.played.link.announce(Presence(available=False))
        case.world.server.drop("hall@localhost", back_after=None)

    device.after = power_cut
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.calls and not case.device.online)
    await asyncio.sleep(0.01)
    status = DeviceStatus(heartbeat=30, uptime=0, version="1", outbox="memory").element()
    await case.played.link.announce(Presence(extensions=(status,)))
    case.world.server.restore("hall@localhost")
    with pytest.raises(CommandUnknownError, match="its journal in memory"):
        await asyncio.wait_for(ticket.result(), SOON)
    assert len(device.calls) == 1


async def test_a_device_that_never_comes_back_leaves_it_unknown(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def gone(_call: CommandCall) -> None:
        case.world.server.drop("hall@localhost", back_after=None)

    device.after = gone
    with pytest.raises(CommandUnknownError, match="no answer came in time"):
        await asyncio.wait_for(case.device.call("water", ttl=0.2, n=1), SOON)
    assert await case.states() == ["unknown"]


async def test_a_refusal_after_a_lost_answer_does_not_say_that_it_never_ran(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def then_forbidden(_call: CommandCall) -> None:
        if len(device.calls) > 1:
            raise stanza_error("forbidden", "not any more")

    async def late(_call: CommandCall) -> None:
        await asyncio.sleep(0.3)

    device.before, device.after = then_forbidden, late
    with pytest.raises(CommandUnknownError, match="refused now"):
        await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON)
