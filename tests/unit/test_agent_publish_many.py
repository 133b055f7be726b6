"""Many readings handed over at once: all of them or none, each with its time."""

import asyncio
import time

import pytest

from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.errors import InvalidError, OutboxFullError
from tests.unit.agent_house import House, until
from tests.unit.delivery_house import level, path_of

LATE = 1_700_000_000.5


async def test_all_arrive_in_one_pack_each_with_its_time(house: House) -> None:
    agent = level(house)
    async with agent:
        begun = time.time()
        await agent.publish_many([("level", 1, LATE), ("level", 2, LATE + 1), ("level", 3)])
        await until(lambda: house.values("level") == [1, 2, 3])
        first, second, third = house.readings
        assert (first.time, second.time) == (LATE, LATE + 1)
        assert begun - 1 <= third.time <= time.time()
        assert [reading.seq for reading in house.readings] == [1, 2, 3]
        assert len([item for item in house.items if item.node.node.endswith("/readings")]) == 1


async def test_it_returns_when_all_are_on_disk(house: House) -> None:
    agent = level(house)
    house.collects = False
    async with agent:
        await agent.publish_many(("level", number) for number in range(300))
        size = path_of(agent).with_name(f"{path_of(agent).name}-wal").stat().st_size
        assert size > 300 * 10
        assert agent.status.buffered == 300


async def test_none_for_nothing(house: House) -> None:
    agent = level(house)
    async with agent:
        await asyncio.wait_for(agent.publish_many([]), 1)
        assert agent.status.buffered == 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (("level", "high"), "reading 1: level: 'high' is str, expected int"),
        (("depth", 4), "reading 1: channel 'depth' is not declared; declared are: level"),
        (("level", 4, 12.0), "reading 1: time 12 s since 1970: set the clock, or give the right time"),
        (("level",), r"reading 1: tuple: give \(channel, value\) or \(channel, value, time\)"),
        ("level", r"reading 1: str: give \(channel, value\) or \(channel, value, time\)"),
    ],
)
async def test_one_that_is_wrong_is_named_and_none_is_published(
    house: House, wrong: tuple[str, int], text: str
) -> None:
    agent = level(house)
    async with agent:
        with pytest.raises(InvalidError, match=text):
            await agent.publish_many([("level", 1), wrong])
        await agent.publish("level", 7)
        await until(lambda: bool(house.readings))
        assert house.values("level") == [7]


async def test_a_full_outbox_that_keeps_what_it_has_takes_none(house: House) -> None:
    house.collects = False
    agent = level(house, outbox=OutboxSettings(bytes=4096, when_full="reject"))
    async with agent:
        with pytest.raises(OutboxFullError, match="level: the outbox is full"):
            await agent.publish_many(("level", number) for number in range(200))
        await agent.publish("level", 7)
        await until(lambda: house.values("level") == [7])


async def test_an_agent_that_does_not_run_takes_none(house: House) -> None:
    with pytest.raises(InvalidError, match="does not run"):
        await level(house).publish_many([("level", 1)])
