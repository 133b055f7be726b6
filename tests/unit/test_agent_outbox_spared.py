"""What is acknowledged soon is not written: rare readings leave the memory card alone."""

import asyncio

import pytest

from iotxmpp import Agent
from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox import taking
from iotxmpp.agent.outbox.batch import AT_ONCE
from iotxmpp.agent.outbox.keeper import Keeper
from tests.unit.agent_house import House, until
from tests.unit.delivery_house import level, path_of, published


def keeper_of(agent: Agent) -> Keeper:
    assert agent._running is not None
    return agent._running.keeper


def on_disk(agent: Agent) -> bytes:
    wal = path_of(agent).with_name(f"{path_of(agent).name}-wal")
    return path_of(agent).read_bytes() + (wal.read_bytes() if wal.exists() else b"")


async def at_rest(agent: Agent, house: House) -> None:
    """A first reading was acknowledged, and is trimmed."""
    await published(house, agent, 0)
    await until(lambda: agent.status.buffered == 0)
    await asyncio.sleep(0.1)
    await until(lambda: keeper_of(agent).stock.held == 0)


@pytest.fixture(autouse=True)
def trims_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "TRIM_EVERY", 0.01)


async def test_rare_readings_that_are_acknowledged_at_once_are_never_written(house: House) -> None:
    agent = level(house)
    async with agent:
        await at_rest(agent, house)
        before = on_disk(agent)
        for value in range(1, 6):
            await asyncio.wait_for(agent.publish("level", value), 2)
            await asyncio.sleep(2 * AT_ONCE)
        await until(lambda: agent.status.buffered == 0)
        assert on_disk(agent) == before
    assert house.values("level") == list(range(6))


async def test_a_reading_whose_ack_stays_away_is_written_soon(house: House) -> None:
    agent = level(house)
    async with agent:
        await at_rest(agent, house)
        house.collects = False
        begun = asyncio.get_running_loop().time()
        await asyncio.wait_for(agent.publish("level", 1), taking.SPARED + 2)
        assert asyncio.get_running_loop().time() - begun >= taking.SPARED - 0.01
        assert keeper_of(agent).stock.held == 1
        # Acks do not come now: the next one is not kept waiting for them.
        await asyncio.sleep(taking.COMMIT_EVERY)
        begun = asyncio.get_running_loop().time()
        await agent.publish("level", 2)
        assert keeper_of(agent).stock.held == 2
        assert asyncio.get_running_loop().time() - begun < taking.SPARED


async def test_without_a_collector_nothing_is_spared(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "SPARED", 60.0)
    agent = level(house, controllers=())
    async with agent:
        for value in range(3):
            await asyncio.wait_for(agent.publish("level", value), 2)
            await asyncio.sleep(2 * AT_ONCE)
