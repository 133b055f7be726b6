"""Queued commands that are cancelled, and those that cannot be queued."""

import asyncio
from typing import Any

import pytest

from iotxmpp.commands import CommandCall
from iotxmpp.controller import Controller
from iotxmpp.errors import ArgumentsError, CommandCancelledError, InvalidError, NotFoundError
from tests.unit.controller_world import HOUSE, SOON, until
from tests.unit.queue_case import Case, Journaled

# Cancelling.


async def test_what_waits_can_be_cancelled(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    first = await case.device.queue("water", {"n": 1}, ttl=60)
    second = await case.device.queue("water", {"n": 2}, ttl=60)
    assert await first.cancel()
    assert await first.cancel()
    with pytest.raises(CommandCancelledError):
        await first.result()
    await case.there()
    await second.result()
    assert device.ran == [2]
    assert not await second.cancel()
    assert second.state == "done"


async def test_what_was_sent_and_not_started_is_cancelled_on_the_device(case: Case) -> None:
    device = Journaled(case.played).serve()
    gate = asyncio.Event()

    async def wait(_call: CommandCall) -> None:
        await gate.wait()

    device.before = wait
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.calls)
    assert ticket.state == "sent"
    assert await case.controller.cancel(ticket.id)
    gate.set()
    with pytest.raises(CommandCancelledError):
        await asyncio.wait_for(ticket.result(), SOON)
    assert device.ran == []


async def test_what_runs_is_too_late_to_cancel(case: Case) -> None:
    device = Journaled(case.played).serve()
    gate = asyncio.Event()

    async def wait(_call: CommandCall) -> None:
        await gate.wait()

    device.after = wait
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.ran)
    assert not await ticket.cancel()
    gate.set()
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}


async def test_an_id_that_is_not_there_cannot_be_cancelled(case: Case) -> None:
    with pytest.raises(NotFoundError, match="no command nonsense"):
        await case.controller.cancel("nonsense")


# What cannot be queued.


@pytest.mark.parametrize("ttl", ["soon", "", 0, -1, float("nan"), float("inf"), "400d"])
async def test_a_ttl_that_is_none_is_told(case: Case, ttl: Any) -> None:  # noqa: ANN401  # what people write
    with pytest.raises(InvalidError, match="ttl"):
        await case.device.queue("water", ttl=ttl)
    assert await case.controller.commands() == []


async def test_arguments_and_names_that_cannot_travel_are_told_before_anything_is_kept(case: Case) -> None:
    with pytest.raises(ArgumentsError):
        await case.device.call("water", ttl=60, seconds=float("nan"))
    with pytest.raises(InvalidError):
        await case.device.call("wa\x00ter", ttl=60)
    with pytest.raises(InvalidError):
        await case.device.queue("water", ttl=60, by="nobody")
    assert await case.controller.commands() == []


async def test_a_controller_that_only_watches_keeps_no_queue(case: Case) -> None:
    link = case.world.server.link(case.controller._found_account())
    async with link, Controller(HOUSE, link=link, collects=False) as watching:
        device = await watching.wait_for("hall", timeout=SOON)
        with pytest.raises(InvalidError, match="keeps no queue"):
            await device.call("water", ttl=60)
        with pytest.raises(InvalidError, match="keeps no queue"):
            await watching.commands()
