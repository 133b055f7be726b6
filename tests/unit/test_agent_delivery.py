"""What acknowledgements do to an agent's outbox, and whose it takes."""

import asyncio
from typing import Literal
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import Agent
from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox.inspection import waiting
from iotxmpp.agent.outbox.rows import seq_of
from iotxmpp.errors import StanzaError
from tests.unit.agent_house import CONTROLLER, House, account, until
from tests.unit.delivery_house import level, path_of, published
from tests.unit.outbox_house import one, opened


async def test_readings_are_kept_until_they_are_acknowledged(house: House) -> None:
    house.collects = False
    agent = level(house)
    async with agent:
        epoch = await published(house, agent, 1, 2, 3, 4, 5)
        assert (agent.status.buffered, agent.status.outbox) == (5, "disk")
        await house.ack({epoch: 3})
        assert agent.status.buffered == 2
        await house.ack({epoch: 5})
        assert agent.status.buffered == 0
    assert waiting(path_of(agent)) == []


async def test_acks_of_others_are_refused(house: House) -> None:
    house.collects = False
    agent = house.agent(controllers=[CONTROLLER, "stranger@example.org"])
    agent.channel("level", type="int")
    async with agent, house.server.link(account("stranger")) as second:
        epoch = await published(house, agent, 1)
        with pytest.raises(StanzaError, match="forbidden"):
            await house.ack({epoch: 1}, by=second)
        assert agent.status.buffered == 1


async def test_the_account_may_name_the_collector(house: House) -> None:
    house.collects = False
    given = account(
        "greenhouse", controllers=(CONTROLLER, "stranger@example.org"), collector="stranger@example.org"
    )
    agent = Agent(given)
    agent.channel("level", type="int")
    async with agent, house.server.link(account("stranger")) as second:
        epoch = await published(house, agent, 1)
        with pytest.raises(StanzaError, match="forbidden"):
            await house.ack({epoch: 1})
        await house.ack({epoch: 1}, by=second)
        assert agent.status.buffered == 0


async def test_an_ack_of_what_was_never_published_trims_nothing(house: House) -> None:
    house.collects = False
    agent = level(house)
    async with agent:
        epoch = await published(house, agent, 1, 2)
        for beyond in ({epoch: 3}, {"another": 1, epoch: 9}):
            with pytest.raises(StanzaError, match="not-acceptable"):
                await house.ack(beyond)
        assert agent.status.buffered == 2
        house.server.drop("greenhouse@example.org", back_after=None)
        await agent.publish("level", 3)
        house.server.restore("greenhouse@example.org")
        await until(lambda: len(house.readings) == 3)
        await house.ack({epoch: 3, "of-another-disk": 7})
        assert agent.status.buffered == 0


async def test_a_collector_with_another_store_is_told_what_it_cannot_have(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "TRIM_EVERY", 0.01)
    house.collects = False
    agent = level(house)
    async with agent:
        epoch = await published(house, agent, 1, 2, 3, 4)
        await house.ack({epoch: 3})
        running = agent._running
        assert running is not None
        # Trimmed, and known to be: the disk's thread tells what it holds before the loop hears of it.
        await until(lambda: seq_of(getattr(running.keeper.epoch_by_name(epoch), "first", 0)) == 4)
        house.items.clear()
        await house.ack({epoch: 0}, again=True)
        await until(lambda: len(house.readings) == 1)
        await until(lambda: len(house.gaps) == 1)
        assert [(gap.reason, gap.lost) for gap in house.gaps] == [("trimmed", ((1, 3),))]
        assert house.values("level") == [4]
        await house.ack({epoch: 4})
        await until(lambda: running.keeper.stock.losses == 0)
        assert agent.status.buffered == 0


async def test_a_malformed_ack_is_refused(house: House) -> None:
    agent = level(house)
    malformed: list[tuple[Element, Literal["get", "set"]]] = [
        (Element("{urn:iotxmpp:delivery:0}ack", {"again": "perhaps"}), "set"),
        (Element("{urn:iotxmpp:delivery:0}ack"), "get"),
    ]
    async with agent:
        await until(lambda: bool(house.presences))
        for element, kind in malformed:
            with pytest.raises(StanzaError, match="bad-request"):
                await house.watcher.call(house.presences[-1].sender, element, kind=kind)


async def test_an_ack_of_an_older_run_lets_go_of_it(house: House) -> None:
    house.collects = False
    agent = level(house)
    async with agent:
        first = await published(house, agent, 1, 2)
    async with agent:
        second = await published(house, agent, 3)
        assert first != second
        assert agent.status.buffered == 3
        # A restored disk may hold less of a run than was made: more than it knows is acknowledged then.
        await house.ack({first: 50, second: 1})
        assert agent.status.buffered == 0


async def test_an_ack_of_an_older_run_counts_up_to_what_was_sent(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.collects = False
    agent = level(house)
    async with opened(path_of(agent), epoch="never-sent") as keeper:
        await asyncio.gather(*(keeper.keep(one(float(n))) for n in range(20)))
    agent._outbox = agent._outbox.model_copy(update={"replay_delay": 60.0})
    async with agent:
        running = agent._running
        assert running is not None
        running._line._replay_at = float("inf")
        before = len(house.readings)
        await house.ack({"never-sent": 15})
        assert (len(house.readings), running.keeper.held) == (before, 20)
        assert "counts up to 0" in caplog.text


async def test_without_a_collector_what_is_published_is_done_with(house: House) -> None:
    agent = level(house, controllers=[])
    async with agent:
        await published(house, agent, 1, 2, 3)
        await until(lambda: agent.status.buffered == 0)
