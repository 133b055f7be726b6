"""Readings from a device to a controller, on Prosody and on ejabberd."""

import asyncio
import itertools
import time
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from iotxmpp import Agent, Device, Reading
from iotxmpp.about import About, Channel
from iotxmpp.errors import UnknownDeviceError
from iotxmpp.payloads import json_element
from tests.contract.world import Collected
from tests.live.greenhouse import House, greenhouse
from tests.live.site import PATIENCE, Site, name_of, nodes_of
from tests.unit.controller_world import temperature

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Climate(BaseModel):
    temperature: float
    humidity: int


async def test_readings_arrive_as_readings_as_floats_and_as_models(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, controller = Agent(device), site.controller(account)
    readings, floats, models = Collected[Reading](), Collected[float](), Collected[Climate]()
    devices, numbers, loop = Collected[str](), itertools.count(1), asyncio.get_running_loop()

    @agent.sensor({"temperature": "Cel", "humidity": "%RH"}, every=0.05)
    def climate() -> tuple[float, int]:
        number = next(numbers)
        return 20 + number / 8, number

    @controller.on_reading
    async def take_reading(reading: Reading, device: Device) -> None:
        readings.add(reading)
        devices.add(device.id)

    @controller.on_reading("temperature")
    def take_float(value: float) -> None:
        loop.call_soon_threadsafe(floats.add, value)

    @controller.on_reading
    async def take_model(climate: Climate) -> None:
        models.add(climate)

    started = time.time()
    async with controller, agent:
        seen = (await readings.count(10))[:10]
        values = (await floats.count(5))[:5]
        samples = (await models.count(5))[:5]
    counted = [each.humidity for each in samples]
    assert counted == sorted(set(counted))
    assert [each.temperature for each in samples] == [20 + number / 8 for number in counted]
    assert values == [each.temperature for each in samples]
    assert [each.channel for each in seen] == ["temperature", "humidity"] * 5
    assert [each.unit for each in seen] == ["Cel", "%RH"] * 5
    assert [each.value for each in seen[0::2]] == values
    assert [each.value for each in seen[1::2]] == counted
    assert [each.seq for each in seen] == list(range(1, 11))
    assert len({each.epoch for each in seen}) == 1
    assert all(started - 1 <= each.time <= time.time() + 1 for each in seen)
    assert set(devices.all) == {name_of(device)}


async def test_values_of_every_type_arrive_as_they_are(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, controller, readings = Agent(device), site.controller(account), Collected[Reading]()
    agent.channel("door/1", type="bool")
    agent.channel("note", type="str")
    agent.channel("total", type="int")
    agent.channel("level", type="float")
    given: list[tuple[str, Any]] = [
        ("door/1", True),
        ("note", '"quotes" & <tags>, äöü, 🌱\nand a line'),
        ("total", 2**62),
        ("level", -0.1),
        ("door/1", False),
        ("note", ""),
    ]

    @controller.on_reading
    async def take(reading: Reading) -> None:
        readings.add(reading)

    async with controller, agent:
        await controller.wait_for(name_of(device))
        for channel, value in given:
            await agent.publish(channel, value)
        await readings.count(len(given))
        assert await controller.rejections() == []
    assert [(each.channel, each.value) for each in readings.all] == given
    assert [type(each.value) for each in readings.all] == [type(value) for _, value in given]


async def test_a_reading_keeps_the_time_that_the_device_gave_it(house: House) -> None:
    await house.agent.publish("count", 7, time=1_700_000_000.25)
    assert (await house.readings.count(1))[0].time == 1_700_000_000.25


async def test_readings_from_another_thread_arrive(house: House) -> None:
    await asyncio.to_thread(house.agent.publish_soon, "count", 1)
    assert (await house.readings.count(1))[0].value == 1


async def test_a_device_that_is_added_while_the_controller_runs_is_found(site: Site) -> None:
    account = await site.account("house")
    controller, readings = site.controller(account), Collected[tuple[str, Reading]]()

    @controller.on_reading
    async def take(reading: Reading, device: Device) -> None:
        readings.add((device.id, reading))

    async with controller:
        assert dict(controller.devices) == {}
        device = await site.device("late", account)
        async with greenhouse(device) as agent:
            found = await controller.wait_for(name_of(device), timeout=PATIENCE)
            await agent.publish("count", 1)
            name, reading = (await readings.count(1))[0]
            assert (name, reading.value) == (found.id, 1)
            assert await found.call("water") == "watered for 10 s"


async def test_a_device_that_publishes_as_soon_as_it_is_added_loses_nothing(site: Site) -> None:
    account = await site.account("house")
    controller, seen = site.controller(account, discover_every=3600), Collected[int]()

    @controller.on_reading
    async def take(reading: Reading) -> None:
        assert reading.seq is not None
        seen.add(reading.seq)

    async with controller:
        device = await site.device("late", account)
        nodes, name = nodes_of(device), name_of(device)
        about = About(device=name, channels={"temperature": Channel(type="float", unit="Cel", range=(0, 50))})
        link = await site.link(device)
        await link.publish(nodes.about, json_element(about.model_dump_json()), item_id="current")
        sent = 0

        async def publish(count: int) -> None:
            nonlocal sent
            for _ in range(count):
                sent += 1
                pack = temperature(name, 20 if sent % 2 else 200)
                await link.publish(nodes.readings, pack, item_id=f"e.{sent}")

        await publish(20)
        async with asyncio.timeout(PATIENCE):
            while name not in controller.devices:
                await publish(1)
                await asyncio.sleep(0.02)
        await publish(20 + (sent + 1) % 2)  # the last is a good one
        await seen.until(lambda number: number == sent)
        rejections = await controller.rejections(limit=1000)
    assert seen.all == list(range(1, sent + 1, 2))
    assert [each.item for each in rejections] == [f"e.{number}" for number in range(2, sent + 1, 2)]
    assert {each.code for each in rejections} == {"range"}


async def test_a_controller_sees_no_device_of_another(site: Site) -> None:
    ours, theirs = await site.account("ours"), await site.account("theirs")
    device = await site.device("greenhouse", theirs)
    async with greenhouse(device), site.controller(theirs) as other, site.controller(ours) as controller:
        await other.wait_for(name_of(device))
        assert dict(controller.devices) == {}
        with pytest.raises(UnknownDeviceError, match=name_of(device)):
            controller.device(name_of(device))


async def test_two_controllers_get_the_same_readings(site: Site) -> None:
    first, second = await site.account("first"), await site.account("second")
    device = await site.device("greenhouse", first, second)
    both = site.controller(first), site.controller(second, store="sqlite://")
    heard = Collected[float](), Collected[float]()

    async def take(readings: Collected[float], value: float) -> None:
        readings.add(value)

    for controller, readings in zip(both, heard, strict=True):
        controller.on_reading("temperature")(partial(take, readings))
    async with both[0], both[1], greenhouse(device) as agent:
        for controller in both:
            assert await (await controller.wait_for(name_of(device))).call("water", seconds=1)
        await agent.publish("temperature", 20.5)
        assert [await each.count(1) for each in heard] == [[20.5], [20.5]]
