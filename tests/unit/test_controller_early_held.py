"""What is held of nodes that the controller has not joined: how much, whose, and how long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from iotxmpp.addresses import NodeAddress
from iotxmpp.controller import early
from iotxmpp.errors import NoAnswerError
from iotxmpp.link import Item
from tests.unit.controller_world import SOON, World, until
from tests.unit.early_world import described, empty_world, only_readings, watched


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with empty_world(monkeypatch) as world:
        yield world


async def test_what_cannot_be_held_of_a_node_is_counted_and_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(early, "MOST_OF_NODE", 3)
    watch = await watched(world)
    async with watch.controller:
        await world.add("late")
        async with world.device("late") as late:
            for number in range(8):
                await late.read(number)
            await until(lambda: len(watch.values) == 3)
            await late.read(8)
            await until(lambda: len(watch.values) == 4)
    assert watch.values == [0, 1, 2, 8]
    assert watch.lost == 5
    assert caplog.text.count("device late, which is not joined, are lost") == 1


async def test_a_talkative_stranger_leaves_room_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "MOST_OF_NODE", 3)
    monkeypatch.setattr(early, "MOST", 5)
    await only_readings(world, "half")
    watch = await watched(world)
    async with watch.controller:
        await world.add("late")
        async with world.device("half", describe=False) as half, world.device("late") as late:
            for number in range(8):
                await half.read(number)
            await late.read(1)
            await late.read(2)
            await until(lambda: len(watch.values) == 1)
        assert watch.lost == 6
    assert watch.readings == [("late", 1)]
    assert watch.lost == 6 + 3, "at the end, what is held of the stranger"


async def test_a_full_room_spares_the_description_that_comes_while_the_device_joins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "MOST", 0)
    watch = await watched(world)
    async with watch.controller as controller:
        await world.add("late")
        async with world.device("late") as late:
            items = watch.link.items

            async def meanwhile(node: NodeAddress, *, newest: int = 1, timeout: float = 10.0) -> list[Item]:
                found = await items(node, newest=newest, timeout=timeout)
                await late.describe(described(30))
                await asyncio.sleep(0.01)
                return found

            watch.link.items = meanwhile  # type: ignore[method-assign]  # a double
            assert controller._session is not None
            await controller._session._discovery.round()
            assert controller.device("late").about == described(30)
        assert watch.lost == 1


async def test_what_strangers_sent_is_let_go_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(early, "KEEP", 0.0)
    await only_readings(world, "half")
    watch = await watched(world)
    async with watch.controller, world.device("half", describe=False) as half:
        for number in range(4):
            await half.read(number)
        await until(lambda: watch.lost == 4)
    assert caplog.text.count("are lost") == 1
    assert "the service does not show us all of its nodes" in caplog.text


async def test_what_waits_for_a_device_that_cannot_be_joined_yet_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "KEEP", 0.0)
    watch = await watched(world)
    items, fails = watch.link.items, asyncio.Event()

    async def failing(node: NodeAddress, *, newest: int = 1, timeout: float = 10.0) -> list[Item]:
        if not fails.is_set():
            fails.set()
            raise NoAnswerError("no answer")
        return await items(node, newest=newest, timeout=timeout)

    watch.link.items = failing  # type: ignore[method-assign]  # a double
    async with watch.controller as controller:
        await world.add("late")
        async with world.device("late") as late:
            await late.read(1)
            await asyncio.wait_for(fails.wait(), SOON)
            await until(lambda: "late" not in controller.devices)
            assert controller._session is not None
            controller._session._discovery.renew()
            await until(lambda: watch.values)
    assert (watch.values, watch.lost) == ([1], 0)


async def test_what_is_still_held_at_the_end_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    watch = await watched(world)
    async with watch.controller as controller:
        await world.add("late")
        async with world.device("late") as late:
            await late.read(1)
            session = controller._session
            assert session is not None
            await until(lambda: session._early._count == 2)
    assert watch.lost == 2
    assert "device late, which is not joined, are lost (2): the controller ends" in caplog.text
