"""A killed device's session is shown by the server beside that of the one started since."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.commands import COMMAND_TAG
from iotxmpp.controller import Device, asking
from iotxmpp.errors import NoAnswerError
from iotxmpp.link import Request
from iotxmpp.payloads import json_element
from iotxmpp.twin import DESIRED_TAG
from tests.unit.controller_world import SOON, PlayedDevice, World, until
from tests.unit.queue_case import Journaled
from tests.unit.twin_desk import Hand


@dataclass
class Hall:
    """A device as its controller sees it, with the session that is dead the newest of both."""

    device: Device
    live: PlayedDevice
    dead: PlayedDevice
    unanswered: list[Request]

    @property
    def current(self) -> str:
        seen = self.device.sessions.current
        assert seen is not None
        return seen.presence.sender


@asynccontextmanager
async def hall(*, remembers: bool = True) -> AsyncIterator[Hall]:
    world, unanswered = World(), list[Request]()

    async def never(request: Request) -> Element | None:
        unanswered.append(request)
        await asyncio.Event().wait()
        return None

    await world.add("hall")
    async with (
        world.device("hall") as live,
        world.device("hall") as dead,
        await world.controller(discover_every=60) as controller,
    ):
        for tag in (COMMAND_TAG, DESIRED_TAG):
            dead.link.serve(tag, never)
        about: dict[str, object] = {"once": "journal"} if remembers else {}
        await live.describe(json_element(json.dumps({"device": "hall", "commands": {"water": about}})))
        await live.say(outbox="disk")
        device = await controller.wait_for("hall", timeout=SOON)
        await until(lambda: device.about is not None and not device.about.channels)
        await dead.say(outbox="disk")
        found = Hall(device, live, dead, unanswered)
        await until(lambda: device.sessions.current is not None and found.current == dead.link.jid)
        yield found
    await world.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "NEXT_AFTER", 0.1)


@pytest.fixture
async def shown() -> AsyncIterator[Hall]:
    async with hall() as opened:
        yield opened


async def test_a_queued_command_reaches_the_one_that_is_alive(shown: Hall) -> None:
    journaled = Journaled(shown.live).serve()
    ticket = await shown.device.queue("water", {"n": 1}, ttl=60)
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}
    assert (len(shown.unanswered), journaled.ran) == (1, [1])
    assert shown.current == shown.live.link.jid
    again = await shown.device.queue("water", {"n": 2}, ttl=60)
    assert await asyncio.wait_for(again.result(), SOON) == {"n": 2}
    assert len(shown.unanswered) == 1  # the one that answered last is asked first


async def test_a_call_is_sent_once_and_to_the_one_heard_last(shown: Hall) -> None:
    journaled = Journaled(shown.live).serve()
    with pytest.raises(NoAnswerError):
        await shown.device.call("water", timeout=0.5, n=1)
    assert (len(shown.unanswered), journaled.ran) == (1, [])
    await shown.live.say(why="heartbeat", outbox="disk")
    await until(lambda: shown.current == shown.live.link.jid)
    assert await shown.device.call("water", n=2) == {"n": 2}
    assert (len(shown.unanswered), journaled.ran) == (1, [2])


async def test_settings_reach_the_one_that_is_alive(shown: Hall) -> None:
    taking = Hand(shown.live)
    shown.live.link.serve(DESIRED_TAG, taking.take)
    await shown.device.desire(light=20)
    await until(lambda: taking.settings == {"light": 20})
    assert len(shown.unanswered) == 1
    await until(lambda: shown.current == shown.live.link.jid)
    await shown.device.desire(light=30)
    await until(lambda: taking.settings == {"light": 30})
    assert len(shown.unanswered) == 1


async def test_a_command_that_must_not_be_repeated_is_not() -> None:
    async with hall(remembers=False) as shown:
        journaled = Journaled(shown.live).serve()
        ticket = await shown.device.queue("water", {"n": 1}, ttl=60)
        await until(lambda: bool(shown.unanswered))
        await asyncio.sleep(0.4)
        assert (ticket.state, journaled.calls) == ("sent", [])
