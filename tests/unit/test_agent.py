"""From an agent's sensors and code to readings and a self-description at a controller."""

import asyncio
import threading
import time

import pytest

from iotxmpp.errors import InvalidError
from tests.unit.agent_house import NODES, House, until
from tests.unit.greenhouse import greenhouse


async def test_a_reading_arrives_with_its_unit_time_and_number(house: House) -> None:
    before = time.time()
    async with greenhouse(house):
        await until(lambda: bool(house.readings))
    reading = house.readings[0]
    assert (reading.channel, reading.value, reading.unit, reading.seq) == ("temperature", 21.5, "Cel", 1)
    assert before - 1 <= reading.time <= time.time()
    assert reading.epoch


async def test_the_self_description_comes_before_any_reading(house: House) -> None:
    async with greenhouse(house, heartbeat=12.5):
        await until(lambda: bool(house.readings))
    assert house.items[0].node == NODES.about
    assert house.items[0].id == "current"
    about = house.abouts[0]
    assert (about.device, about.heartbeat, about.version) == ("greenhouse", 12.5, "0.1.0")
    assert about.channels["temperature"].model_dump() == {
        "type": "float",
        "unit": "Cel",
        "range": (-40.0, 85.0),
        "description": "Of the air.",
    }
    assert about.commands["water"].description == "Waters the plants."
    assert about.commands["water"].arguments["properties"] == {"seconds": {"type": "integer", "default": 10}}


async def test_the_description_is_the_same_before_a_run(house: House) -> None:
    agent = greenhouse(house)
    async with agent:
        await until(lambda: bool(house.abouts))
    assert agent.about == house.abouts[0]


async def test_several_values_of_one_sample_have_one_time_and_one_pack(house: House) -> None:
    agent = house.agent()

    @agent.sensor({"temperature": "Cel", "humidity": "%RH"})
    def climate() -> dict[str, float]:
        return {"humidity": 50.5, "temperature": 20.0}

    async with agent:
        await until(lambda: len(house.readings) == 2)
    assert {(reading.channel, reading.unit) for reading in house.readings} == {
        ("temperature", "Cel"),
        ("humidity", "%RH"),
    }
    assert len({reading.time for reading in house.readings}) == 1
    assert len(house.items) == 2


async def test_readings_of_own_code_arrive_from_any_thread(house: House) -> None:
    agent = house.agent()
    agent.channel("motion", type="bool")
    agent.channel("level", type="int", unit="/100", range=(0, 100))
    async with agent:
        await agent.publish("motion", value=True, time=1_700_000_000.0)
        thread = threading.Thread(target=agent.publish_soon, args=("level", 5))
        thread.start()
        await until(lambda: len(house.readings) == 2)
        thread.join()
    assert house.readings[0].time == 1_700_000_000.0
    assert house.values("motion") == [True]
    assert house.values("level") == [5]


async def test_a_wrong_reading_of_own_code_is_refused(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int", range=(0, 100))
    with pytest.raises(InvalidError, match="does not run"):
        await agent.publish("level", 5)
    async with agent:
        for channel, value, text in (
            ("depth", 5, "'depth' is not declared; declared are: level"),
            ("level", 101, "level: 101 is out of its range, 0 to 100"),
            ("level", 1.5, "level: 1.5 is float, expected int"),
            ("level", True, "level: True is bool, expected int"),
            ("level", float("nan"), "not a finite number"),
        ):
            with pytest.raises(InvalidError, match=text):
                await agent.publish(channel, value)
            with pytest.raises(InvalidError, match=text):
                agent.publish_soon(channel, value)
        for moment in (5.0, float("nan"), 1e15):
            with pytest.raises(InvalidError, match="set the clock"):
                await agent.publish("level", 5, time=moment)
    assert house.readings == []


async def test_what_is_left_is_sent_at_the_end(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.delay(0.2)
        await asyncio.gather(*(agent.publish("level", level) for level in range(1200)))
        assert len(house.readings) < 1200
    await until(lambda: len(house.readings) == 1200)
    assert house.values("level") == list(range(1200))
