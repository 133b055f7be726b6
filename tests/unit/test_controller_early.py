"""What devices publish before the controller has joined them."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator

import pytest

from iotxmpp.addresses import NodeAddress, device_id
from iotxmpp.controller import discovery, early
from iotxmpp.link import Item
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from tests.unit.controller_world import HOUSE, SOON, PlayedDevice, World, kept, temperature, until
from tests.unit.early_world import GAP, described, empty_world, only_readings, watched


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with empty_world(monkeypatch) as world:
        yield world


async def test_every_pack_of_a_device_that_is_added_is_read_or_rejected_in_its_order(world: World) -> None:
    watch = await watched(world)
    async with watch.controller as controller:
        await world.add("late")
        async with world.device("late", describe=False) as late:
            await late.describe(described(30))
            await late.read(20)
            await late.read(31)
            await late.publish(json_element("no SenML"))
            await late.describe(json_element('{"device": "another"}'))
            await late.describe(described(40))
            await late.read(32)
            await late.publish(temperature("late", 21), item_id="no number")
            await until(lambda: watch.packs("late") == 5)
            assert [(each.code, each.item) for each in await kept(controller, 4)] == [
                ("range", "e1.2"),
                ("senml", "e1.3"),
                ("identity", "current"),
                ("form", "no number"),
            ]
            await late.read(33)
            await until(lambda: len(watch.values) == 3)
        assert controller.device("late").about == described(40)
        assert len(await controller.rejections()) == 4
    assert watch.values == [20, 32, 33]
    assert (watch.rounds, watch.packs("late"), watch.lost) == (2, 6, 0)


async def test_nothing_is_taken_twice_and_nothing_overtakes_while_the_device_joins(world: World) -> None:
    watch = await watched(world)
    world.server.delay(0.005)
    async with watch.controller:
        await world.add("late")
        async with world.device("late") as late:
            for number in range(80):
                await late.read(number / 2)
            await until(lambda: len(watch.values) >= 80)
    assert watch.values == [number / 2 for number in range(80)]
    assert (watch.packs("late"), watch.lost) == (80, 0)


async def test_a_bad_description_that_is_held_and_fetched_is_rejected_once(world: World) -> None:
    watch = await watched(world)
    async with watch.controller as controller:
        await world.add("late")
        async with world.device("late", describe=False) as late:
            await late.describe(described(30))
            await late.describe(json_element('{"device": "another"}'))
            await late.read(31)
            await until(lambda: watch.packs("late"))
        assert [each.code for each in await kept(controller, 2)] == ["identity", "range"]


async def test_packs_without_a_description_of_their_time_are_checked_by_the_one_that_is_kept(
    world: World,
) -> None:
    await world.add("late", readers=())
    watch = await watched(world)
    async with watch.controller as controller, world.device("late", describe=False) as late:
        await late.describe(described(30))
        await world.add("late")
        await late.read(31)
        assert [each.code for each in await kept(controller)] == ["range"]
    assert watch.values == []


async def test_a_description_that_was_missed_is_taken_after_those_that_are_held(world: World) -> None:
    watch = await watched(world)
    async with watch.controller as controller:
        await world.add("late")
        async with world.device("late", describe=False) as late:
            await late.describe(described(30))
            await late.read(20)
            world.server.drop(HOUSE, back_after=None)
            await late.describe(described(40))
            world.server.restore(HOUSE)
            await controller.wait_for("late", timeout=SOON)
            await until(lambda: controller.device("late").about == described(40))
            await late.read(35)
            await until(lambda: len(watch.values) == 2)
    assert watch.values == [20, 35]


async def test_devices_that_are_added_together_take_one_discovery(world: World) -> None:
    watch = await watched(world)
    names = [f"d{number}" for number in range(20)]
    async with watch.controller as controller:
        for name in names:
            await world.add(name)
            async with world.device(name) as device:
                await device.read(20)
        await until(lambda: len(watch.readings) == len(names))
        assert set(controller.devices) == set(names)
    assert watch.rounds <= 3


async def test_a_node_that_is_never_joined_asks_ever_more_rarely(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "LEAST_GAP", 0.0)
    await only_readings(world, "half")
    watch = await watched(world)
    async with watch.controller as controller, world.device("half", describe=False) as half:
        for number in range(60):
            await half.read(number)
            await asyncio.sleep(0.005)
        assert dict(controller.devices) == {}
    assert watch.rounds <= 3
    assert watch.values == []


async def test_items_ask_again_after_twice_as_long_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "FIRST_GAP", 0.05)
    room, name = early.Early(lambda _: None), device_id("half")
    asked: list[float] = []
    assert not room.asks(name)
    room.hold(name, Item(node=NodeAddress(service="pubsub.localhost", node="n"), id="1", payload=None))
    started = asyncio.get_running_loop().time()
    while len(asked) < 4:
        if room.asks(name):
            asked.append(asyncio.get_running_loop().time() - started)
        await asyncio.sleep(0.001)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True))


async def test_a_discovery_waits_for_the_one_before_however_many_nodes_ask(world: World) -> None:
    names = [f"half-{number}" for number in range(30)]
    for name in names:
        await only_readings(world, name)
    watch = await watched(world)
    async with watch.controller:
        started = asyncio.get_running_loop().time()
        for name in names:
            async with world.device(name, describe=False) as half:
                await half.read(1)
            await asyncio.sleep(0.01)
        took = asyncio.get_running_loop().time() - started
    assert 1 < watch.rounds <= 2 + took / GAP


async def test_where_devices_are_named_others_are_ignored_and_the_named_join_at_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "iotxmpp")
    watch = await watched(world, devices=["late"])
    async with watch.controller as controller:
        assert "device late: its nodes" in caplog.text
        for name in ("other", "late"):
            await world.add(name)
        async with world.device("other") as other, world.device("late") as late:
            for device in (other, late):
                await publish_both(device)
            await until(lambda: watch.values)
            await controller.wait_for("late", timeout=SOON)
            assert [each.device for each in await kept(controller)] == ["late"]
    assert watch.readings == [("late", 20)]
    assert watch.lost == 0
    assert "iot/other/readings at pubsub.localhost, which is no node of a device of ours" in caplog.text


async def publish_both(device: PlayedDevice) -> None:
    await device.read(20)
    await device.read(2000)


async def test_other_nodes_and_other_services_ask_for_nothing(world: World) -> None:
    watch = await watched(world)
    await world.server.create_account("hall@localhost", "secret")
    others = [
        NodeAddress(service=world.server.service, node="iot/hall/state"),
        NodeAddress(service=world.server.service, node="iot/Hall/readings"),
        NodeAddress(service=world.server.service, node="news"),
        NodeAddress(service="hall@localhost", node="iot/hall/readings"),
    ]
    for node in others:
        await world.server.create_node(node, NodePolicy(publisher="hall@localhost", readers=(HOUSE,)))
    heard: list[Item] = []

    async def hear(item: Item) -> None:
        heard.append(item)

    watch.link.on_unclaimed(hear)
    async with watch.controller, world.device("hall", describe=False) as hall:
        for node in others:
            await hall.link.publish(node, temperature("hall", 20), item_id="e1.1")
        await until(lambda: len(heard) == len(others))
        await asyncio.sleep(GAP + 0.1)
    assert (watch.rounds, watch.lost) == (1, 0)
