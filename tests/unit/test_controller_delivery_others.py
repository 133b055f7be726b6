"""Whom a controller acknowledges nothing to, and whom it acknowledges it to apart."""

import asyncio
import time
from pathlib import Path

import pytest

from iotxmpp.controller import Store
from iotxmpp.delivery import ACK_TAG
from iotxmpp.link import Presence, Request
from tests.store.samples import stored
from tests.unit.controller_world import HOUSE, SOON, World, account, pack, until
from tests.unit.delivery_world import Heard, counting, send

pytestmark = pytest.mark.usefixtures("quick_acks")


async def test_a_device_with_another_collector_is_left_alone(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard(refuse="forbidden").serve(hall)
        for number in range(1, 5):
            await send(hall, number, number)
            await until(lambda: len(seen) == number)  # noqa: B023  # awaited in this turn
        await until(lambda: heard.acks)
        await asyncio.sleep(0.05)
        assert len(heard.acks) == 1
    assert caplog.text.count("has another collector") == 1


async def test_one_that_only_watches_neither_stores_nor_acknowledges(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "state"))
    controller = await world.controller(store=None, collects=False)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await send(hall, 8, 9)
        await send(hall, 8, 9)
        await send(hall, 9, 10)
        await hall.publish(pack("hall", {"n": "gravity", "v": 1}), item_id="e1.11")
        await until(lambda: seen == [8, 9, 10])
        await until(lambda: "iotxmpp_rejected_total" in controller.metrics.text())
        assert await controller.rejections() == []
        assert heard.acks == []
    assert not (tmp_path / "state").exists()


async def test_two_devices_with_one_account_are_noticed(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        for turn in range(1, 4):
            for epoch in ("e1", "e2"):
                at = time.time()
                await hall.publish(pack("hall", {"n": "count", "v": turn}, at=at), item_id=f"{epoch}.{turn}")
                await asyncio.sleep(0.002)
        await until(lambda: len(seen) == 6)
        assert 'iotxmpp_clones_total{device="hall"} 1.0' in controller.metrics.text()
    assert caplog.text.count("two devices use this account") == 1
    store = Store(url)
    assert [row[:3] for row in stored(store)] == [
        ("hall", epoch, seq) for epoch in ("e1", "e2") for seq in (1, 2, 3)
    ]
    store.close()


async def test_two_agents_of_one_account_are_both_told(world: World, url: str) -> None:
    """Two copies of one card: neither may fill its outbox because only the other one is told."""
    controller = await world.controller(store=url)
    async with world.device("hall") as one, world.device("hall") as two, controller:
        heard = Heard().serve(one), Heard().serve(two)
        await one.say(why="start")
        await two.say(why="start")
        await until(lambda: [each.again for each in heard] == [1, 1])
        for turn in range(1, 4):
            await send(one, turn, turn, epoch="e1")
            await send(two, turn, turn, epoch="e2")
            await one.say(why="heartbeat", uptime=10 * turn)
        await until(lambda: [each.upto for each in heard] == [{"e1": 3, "e2": 3}] * 2)
        await two.say(why="start", uptime=0)
        await until(lambda: heard[1].again == 2)
        assert heard[0].again == 1, "only the one that began anew is asked"
        count = [len(each.acks) for each in heard]
        await asyncio.sleep(0.1)
        assert [len(each.acks) for each in heard] == count, "nothing is told that has not changed"


async def test_a_session_that_does_not_answer_holds_up_no_other(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, world.device("hall") as dead, controller:
        asked = asyncio.Event()

        async def never(_request: Request) -> None:
            asked.set()
            await asyncio.Event().wait()

        dead.link.serve(ACK_TAG, never)
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await dead.say(why="start")
        await asyncio.wait_for(asked.wait(), SOON)
        await send(hall, 1, 3)
        await until(lambda: heard.upto == {"e1": 3})


async def test_a_person_in_the_devices_account_is_told_nothing(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, world.device("hall") as person, controller:
        heard, overheard = Heard().serve(hall), Heard().serve(person)
        await hall.say(why="start")
        await until(lambda: heard.again == 1)
        await person.link.announce(Presence(text="looking around"))
        await until(lambda: len(controller.device("hall").sessions.there) == 2)
        await send(hall, 1, 3)
        await until(lambda: heard.upto == {"e1": 3})
        assert overheard.acks == []


async def test_a_stranger_is_no_part_of_it(world: World, url: str) -> None:
    """An account that is no device may be present and is never asked for anything."""
    await world.server.create_account("mallory@localhost", "secret")
    async with await world.controller(store=url), world.server.link(account("mallory@localhost")) as mallory:
        calls: list[Request] = []

        async def take(request: Request) -> None:
            calls.append(request)

        mallory.serve(ACK_TAG, take)
        await mallory.follow(HOUSE)
        async with world.device("hall") as hall:
            heard = Heard().serve(hall)
            await send(hall, 1, 1)
            await until(lambda: heard.upto == {"e1": 1}, SOON)
        assert calls == []
