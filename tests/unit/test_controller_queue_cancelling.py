"""A command that was sent is cancelled while its device is away: it never runs, or ended as it ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.commands import CommandCall, bad_session_error, parse_call
from iotxmpp.controller import Controller
from iotxmpp.controller.queue_ticket import Ticket
from iotxmpp.errors import CommandCancelledError, CommandUnknownError, StoreError, stanza_error
from iotxmpp.link import Request
from tests.unit.controller_world import HOUSE, SOON, until
from tests.unit.queue_case import Case, Journaled


class Lost(Journaled):
    """A device to which calls do not come through, as long as it is away; it gives no answer."""

    away = True
    forgetful = False

    def serve(self) -> "Lost":
        self.before = self._lose
        super().serve()
        return self

    async def answer(self, request: Request) -> Element:
        call = parse_call(request.payload)
        if self.forgetful and call.action == "cancel":
            raise bad_session_error(call)
        return await super().answer(request)

    async def _lose(self, _call: CommandCall) -> None:
        if self.away:
            await asyncio.sleep(3600)


async def sent_and_lost(case: Case, device: Journaled) -> Ticket:
    """A command whose sending the store has, and of which the device has nothing."""
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.calls)
    await case.away()
    return ticket


@asynccontextmanager
async def next_run(case: Case, folder: Path) -> AsyncIterator[Controller]:
    await case.controller.__aexit__(None, None, None)
    link = case.world.server.link(case.controller._found_account())
    async with link, Controller(HOUSE, link=link, store=f"sqlite:///{folder}/controller.db") as again:
        yield again


async def test_the_wish_is_answered_at_once_and_goes_to_the_device_before_the_command(case: Case) -> None:
    device = Lost(case.played).serve()
    ticket = await sent_and_lost(case, device)
    for _ in range(2):
        assert not await asyncio.wait_for(ticket.cancel(), 0.4)
        (shown,) = await case.controller.commands()
        assert (shown.state, shown.reason, shown.cancelling) == ("sent", "cancelling", True)
        assert "cancelling" in shown.text
    device.away, asked = False, len(device.calls)
    await case.there()
    with pytest.raises(CommandCancelledError):
        await asyncio.wait_for(ticket.result(), SOON)
    assert (device.ran, len(device.calls)) == ([], asked)
    (shown,) = await case.controller.commands()
    assert (shown.state, shown.reason) == ("cancelled", "")
    assert await ticket.cancel()


async def test_the_wish_survives_the_controller(case: Case, tmp_path: Path) -> None:
    device = Lost(case.played).serve()
    ticket = await sent_and_lost(case, device)
    assert not await ticket.cancel()
    device.away, asked = False, len(device.calls)
    async with next_run(case, tmp_path) as again:
        await case.played.say(outbox="disk")
        async with asyncio.timeout(SOON):
            while not (await again.commands())[0].ended:  # noqa: ASYNC110  # the store has no event
                await asyncio.sleep(0.01)
        assert (await again.commands())[0].state == "cancelled"
    assert (device.ran, len(device.calls)) == ([], asked)


async def test_one_that_had_begun_ends_as_it_ended(case: Case) -> None:
    device = Journaled(case.played).serve()
    gate = asyncio.Event()

    async def hold(_call: CommandCall) -> None:
        await gate.wait()

    device.after = hold  # it runs, and its answer gets lost
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.ran)
    await case.away()
    assert not await ticket.cancel()
    device.after = None
    await case.there()
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}
    assert device.ran == [1]
    (shown,) = await case.controller.commands()
    assert (shown.state, shown.reason) == ("done", "")


async def test_where_the_device_cannot_say_whether_it_ran_it_is_unknown_and_not_asked_again(
    case: Case,
) -> None:
    device = Lost(case.played).serve()
    ticket = await sent_and_lost(case, device)
    assert not await ticket.cancel()
    asked = len(device.calls)
    device.forgetful, device.away = True, False
    await case.there()
    with pytest.raises(CommandUnknownError, match="cancelled; it may have run before"):
        await asyncio.wait_for(ticket.result(), SOON)
    assert len(device.calls) == asked


async def test_what_a_busy_device_refused_is_cancelled_without_it(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def busy(_call: CommandCall) -> None:
        raise stanza_error("resource-constraint", "busy")

    device.before = busy
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.calls)
    await case.away()
    await ticket.cancel()
    with pytest.raises(CommandCancelledError):
        await asyncio.wait_for(ticket.result(), SOON)
    assert device.ran == []


async def test_a_wish_that_the_store_does_not_take_is_none(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Lost(case.played).serve()
    ticket = await sent_and_lost(case, device)
    keeping = case.controller._keeping
    assert keeping is not None

    def fail(_id: str, *, wanted: bool) -> bool:
        raise StoreError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(keeping.rows, "cancelling", fail)
        with pytest.raises(StoreError, match="disk full"):
            await ticket.cancel()
    device.away = False
    await case.there()
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}
