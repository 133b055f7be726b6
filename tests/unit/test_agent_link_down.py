"""An agent whose link goes down, whose packs are refused, or whose nodes are missing."""

import asyncio
from functools import partial

import pytest

from iotxmpp.backoff import Backoff
from tests.unit.agent_house import NODES, House, open_house, until
from tests.unit.greenhouse import problems


async def test_readings_wait_while_the_link_is_down_and_keep_their_order(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await agent.publish("level", 0)
        await until(lambda: len(house.readings) == 1)
        await until(lambda: agent.status.buffered == 0)
        house.server.drop("greenhouse@example.org", back_after=None)
        for level in range(1, 4):
            await agent.publish("level", level)
        await asyncio.sleep(0.02)
        assert agent.status.buffered == 3
        house.server.restore("greenhouse@example.org")
        await until(lambda: len(house.readings) == 4)
        await until(lambda: agent.status.buffered == 0)  # the ack comes after them
    assert house.values("level") == [0, 1, 2, 3]
    assert [reading.seq for reading in house.readings] == [1, 2, 3, 4]
    assert len([item for item in house.items if item.node == NODES.readings]) == 2


async def test_a_new_session_gets_the_description_again_before_readings(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.abouts) == 1)
        house.server.drop("greenhouse@example.org")
        await agent.publish("level", 1)
        await until(lambda: len(house.readings) == 1)
    assert [item.node for item in house.items] == [NODES.about, NODES.about, NODES.readings]


async def test_a_resumed_session_needs_no_description(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.abouts) == 1)
        house.server.drop("greenhouse@example.org", resume=True)
        await agent.publish("level", 1)
        await until(lambda: len(house.readings) == 1)
    assert [item.node for item in house.items] == [NODES.about, NODES.readings]


async def test_a_pack_without_an_answer_goes_out_again_under_the_same_id(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.abouts) == 1)
        house.collects = False
        hear_again = house.server.silence("greenhouse@example.org")
        await agent.publish("level", 1)
        await until(lambda: len(house.readings) == 1)
        house.server.drop("greenhouse@example.org", resume=True)
        await until(lambda: len(house.readings) == 2)
        assert agent.status.buffered == 1
        hear_again()
        house.server.drop("greenhouse@example.org", resume=True)
        await until(lambda: len(house.readings) == 3)
        await house.ack()
        assert agent.status.buffered == 0
    packs = [item.id for item in house.items if item.node == NODES.readings]
    assert packs[0] == packs[1]
    assert house.values("level")[:2] == [1, 1]


async def test_a_refused_pack_is_given_up_at_the_second_time(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.abouts) == 1)
        house.server.refuse_publish(NODES.readings, "not-acceptable", times=2)
        await agent.publish("level", 1)
        await until(lambda: agent.status.dead == 1 and bool(problems(agent)))
        assert problems(agent)[0].startswith("readings: 1 given up, not accepted: not-acceptable")
        await agent.publish("level", 2)
        await until(lambda: len(house.readings) == 1)
        await until(lambda: not problems(agent))
        await until(lambda: agent.status.buffered == 0)
    assert house.values("level") == [2]
    assert [(gap.reason, gap.lost) for gap in house.gaps] == [("dead-letter", ((1, 1),))]


async def test_a_pack_refused_once_arrives(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.abouts) == 1)
        house.server.refuse_publish(NODES.readings, "internal-server-error")
        await agent.publish("level", 1)
        await until(lambda: len(house.readings) == 1)
        assert agent.status.dropped == 0


async def test_missing_nodes_are_a_clear_problem_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(nodes=False) as house:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
        agent = house.agent()
        agent.channel("level", type="int")
        async with agent:
            await agent.publish("level", 1)
            await until(lambda: bool(agent.status.problems))
            assert "iot/greenhouse/about: item-not-found" in agent.status.problems[0]
            assert "iotxmpp device add greenhouse" in agent.status.problems[0]
            await until(lambda: bool(house.problems))
            await house.create_nodes()
            await house.watch()
            await until(lambda: len(house.readings) == 1)
            await until(lambda: not problems(agent))


async def test_a_node_of_another_publisher_is_a_clear_problem(house: House) -> None:
    agent = house.agent()
    agent._backoff = partial(Backoff, choose=lambda low, high: 0.05)
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.abouts) == 1)
        house.server.refuse_publish(NODES.readings, "forbidden", times=3)
        await agent.publish("level", 1)
        await until(lambda: bool(agent.status.problems))
        assert "iot/greenhouse/readings: forbidden: " in agent.status.problems[0]
        await until(lambda: len(house.readings) == 1)
        assert agent.status.dropped == 0
