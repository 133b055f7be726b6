"""What an agent publishes again, when, and in which order."""

import asyncio

import pytest

from iotxmpp.agent import OutboxSettings, publisher
from iotxmpp.errors import LinkDownError
from tests.unit.agent_house import House, until
from tests.unit.delivery_house import BadLink, level, open_bad_link, published


@pytest.fixture
def bad_link(house: House, monkeypatch: pytest.MonkeyPatch) -> BadLink:
    return open_bad_link(house, monkeypatch)


async def test_what_is_not_acknowledged_is_published_again_when_asked_for(house: House) -> None:
    house.collects = False
    agent = level(house)
    async with agent:
        epoch = await published(house, agent, 1, 2, 3)
        house.items.clear()
        await house.ack({epoch: 1}, again=True)
        await until(lambda: len(house.readings) == 2)
        await asyncio.sleep(0.02)
        assert [(reading.seq, reading.value) for reading in house.readings] == [(2, 2), (3, 3)]


async def test_what_is_not_acknowledged_is_published_again_after_a_while_and_then_more_rarely(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "ACK_PATIENCE", 0.1)
    house.collects = False
    agent = level(house)
    times: list[float] = []
    async with agent:
        begun = asyncio.get_running_loop().time()
        await agent.publish("level", 1)
        for count in range(1, 5):
            await until(lambda count=count: len(house.readings) == count)  # type: ignore[misc]  # mypy infers no type of a default
            times.append(asyncio.get_running_loop().time() - begun)
        # From the beginning: a busy machine sees each of them late, and by another time.
        assert times[1] >= 0.09
        assert times[2] >= 0.09 + 0.19
        assert times[3] >= 0.09 + 0.19 + 0.39
        await house.ack()
        assert agent.status.buffered == 0


async def test_a_new_session_does_not_repeat_what_was_accepted(house: House) -> None:
    house.collects = False
    agent = level(house)
    async with agent:
        await published(house, agent, 1, 2)
        house.server.drop("greenhouse@example.org")
        await published(house, agent, 3)
        assert house.values("level") == [1, 2, 3]
        assert agent.status.buffered == 3


async def test_readings_of_the_run_before_arrive_with_their_numbers_and_times(house: House) -> None:
    agent = level(house)
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        for value in (1, 2):
            await agent.publish("level", value, time=1_790_000_000.0 + value)
    async with agent:
        await agent.publish("level", 3)
        await until(lambda: len(house.readings) == 3)
        await until(lambda: agent.status.buffered == 0)
    found = sorted((reading.value, reading.seq, reading.time) for reading in house.readings)
    assert found[:2] == [(1, 1, 1_790_000_001.0), (2, 2, 1_790_000_002.0)]
    assert found[2][1] == 1
    assert len({reading.epoch for reading in house.readings}) == 2


async def test_live_readings_go_first_and_the_backlog_is_polite(house: House) -> None:
    agent = level(house)
    agent._outbox = OutboxSettings(replay_rate=2000.0, replay_delay=0.0)
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("level", value) for value in range(2000)))
        house.server.restore("greenhouse@example.org")
        await until(lambda: len(house.readings) >= 500)
        began = asyncio.get_running_loop().time()
        await agent.publish("level", 9999, urgent=True)
        await until(lambda: 9999 in house.values("level"))
        before = house.values("level").index(9999)
        assert before <= 1000
        await until(lambda: len(house.readings) == 2001)
        # 1500 readings were left, at 2000 a second.
        assert 0.4 < asyncio.get_running_loop().time() - began < 2.5
        await until(lambda: agent.status.buffered == 0)


async def test_a_reading_that_was_cut_off_keeps_its_turn(house: House, bad_link: BadLink) -> None:
    def cut() -> Exception:
        house.server.drop("greenhouse@example.org", resume=True)
        agent.publish_soon("level", 1)
        return LinkDownError("the cable was pulled")

    bad_link.bad = cut
    bad_link.times = 1
    agent = level(house)
    async with agent:
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 666)
        await until(lambda: len(house.readings) == 2)
    assert house.values("level") == [666, 1]


async def test_a_large_backlog_waits_for_a_moment_of_chance(house: House) -> None:
    agent = level(house)
    agent._outbox = OutboxSettings(replay_delay=2.0)
    async with agent:
        await until(lambda: bool(house.abouts))
        running = agent._running
        assert running is not None
        asked: list[float] = []

        def choose(low: float, high: float) -> float:
            asked.append(high)
            return 0.3

        running._line.choose = choose
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("level", value) for value in range(150)))
        house.server.restore("greenhouse@example.org")
        began = asyncio.get_running_loop().time()
        await until(lambda: len(house.readings) == 150)
        assert asyncio.get_running_loop().time() - began > 0.25
        assert asked == [2.0]


async def test_an_alarm_is_committed_at_once(house: House) -> None:
    house.collects = False
    agent = house.agent()
    agent.channel("level", type="int")
    agent.channel("smoke", type="bool", urgent=lambda value: value is True)
    async with agent:
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 0)
        began = asyncio.get_running_loop().time()
        waiting = [asyncio.create_task(agent.publish("smoke", value=False))]
        await asyncio.sleep(0.01)
        assert not waiting[0].done()
        await agent.publish("smoke", value=True)
        assert asyncio.get_running_loop().time() - began < 0.3
        await waiting[0]
