"""Readings that break the link or are refused: found, set aside, and passed by the others."""

import asyncio
from collections import Counter
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import Agent
from iotxmpp.addresses import NodeAddress
from iotxmpp.agent import line as line_module
from iotxmpp.agent import publisher
from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox.inspection import dead_letters, retry
from iotxmpp.errors import LinkDownError, stanza_error
from iotxmpp.memory import MemoryLink
from tests.unit.agent_house import House, account, until
from tests.unit.delivery_house import BadLink, json_in, level, open_bad_link, path_of, published


@pytest.fixture
def bad_link(house: House, monkeypatch: pytest.MonkeyPatch) -> BadLink:
    return open_bad_link(house, monkeypatch)


async def with_poison(house: House, agent: Agent) -> None:
    """Publishes a pack of a hundred readings, one of them bad, and a good one after it."""
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("level", 666 if n == 70 else n) for n in range(1, 101)))
        house.server.restore("greenhouse@example.org")
        await until(lambda: agent.status.dead == 1, 8)
        await agent.publish("level", 101)
        await until(lambda: agent.status.buffered == 0, 8)
    assert Counter(house.values("level")) == Counter(n for n in range(1, 102) if n != 70)
    assert [(gap.reason, gap.lost) for gap in house.gaps] == [("dead-letter", ((70, 70),))]
    assert [numbers.contiguous for numbers in house.have.values()] == [101]


async def test_a_reading_that_breaks_the_link_is_found_and_the_line_goes_on(
    house: House, bad_link: BadLink
) -> None:
    def break_link() -> Exception:
        house.server.drop("greenhouse@example.org")
        return LinkDownError("the server closed the stream")

    bad_link.bad = break_link
    agent = level(house)
    await with_poison(house, agent)
    assert bad_link.tries <= 2 + 7 + 1
    letter = dead_letters(path_of(agent))[0]
    assert (letter.row.value, letter.row.channel) == (666, "level")
    assert letter.reason == "each time it was sent: the server closed the stream"


class FussyLink(MemoryLink):
    """Ends the session at each bad reading, as a server with a limit on stanzas does; notes what it sent."""

    def __init__(self, *of: Any) -> None:  # noqa: ANN401  # what any link is made of
        super().__init__(*of)
        self.server: Any = None
        self.breaks: list[bool] = []

    async def publish(self, node: NodeAddress, payload: Element, **more: Any) -> None:  # noqa: ANN401  # passed on
        text = json_in(payload)
        if '"v":666' in text:
            self.breaks.append('"v":1' in text)
            self.server.drop("greenhouse@example.org", back_after=0.02)
            raise LinkDownError("policy-violation")
        await super().publish(node, payload, **more)


async def test_several_bad_readings_hold_up_no_good_ones(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "AGAIN", 0.005)
    link = FussyLink(account("greenhouse"), house.server._hub)
    link.server = house.server
    house.server._links.append(link)
    monkeypatch.setattr("iotxmpp.agent.agent.open_link", lambda _: link)
    agent = level(house)
    async with agent:
        await until(lambda: bool(house.abouts))
        for value in (666, 666, 666):
            await agent.publish("level", value, urgent=True)
        for value in range(20):
            await agent.publish("level", value, urgent=True)
            await until(lambda value=value: value in house.values("level"), 1.0)  # type: ignore[misc]  # mypy infers no type of a default
            await asyncio.sleep(0.005)
        await until(lambda: agent.status.dead == 3, 5)
        await until(lambda: agent.status.buffered == 0, 5)
    assert Counter(house.values("level")) == Counter(range(20))
    assert len(link.breaks) <= 3 * 3


async def test_a_suspect_waits_for_the_backlog_but_not_for_ever(
    house: House, bad_link: BadLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "SUSPECTS_AFTER", 0.3)

    def break_link() -> Exception:
        house.server.drop("greenhouse@example.org", back_after=0.02)
        return LinkDownError("policy-violation")

    bad_link.bad = break_link
    agent = level(house)
    agent._outbox = agent._outbox.model_copy(update={"replay_rate": 1000.0})
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("level", value) for value in range(2000, 3500)))
        house.server.restore("greenhouse@example.org")
        await until(lambda: len(house.readings) >= 500)
        await agent.publish("level", 666, urgent=True)
        await until(lambda: bad_link.tries == 1)
        before = len(house.readings)
        await until(lambda: agent.status.dead == 1)
        assert before < len(house.readings) < 1500, "after some of the backlog, and before its end"
        await until(lambda: len(house.readings) == 1500)


async def suspect_arrives(house: House, agent: Agent) -> None:
    """What the link fails to publish at first arrives in the end."""
    await until(lambda: bool(house.abouts))
    await agent.publish("level", 666)
    await until(lambda: house.values("level") == [666])


async def test_one_break_or_two_where_nothing_works_condemn_no_reading(
    house: House, bad_link: BadLink
) -> None:
    def cut() -> Exception:
        house.server.drop("greenhouse@example.org", resume=True, back_after=0.02)
        return LinkDownError("the cable was pulled")

    bad_link.bad = cut
    bad_link.times = 2
    agent = level(house)
    async with agent:
        await suspect_arrives(house, agent)
        assert (bad_link.tries, agent.status.dead) == (2, 0)


async def test_a_reading_that_is_refused_is_found_and_the_line_goes_on(
    house: House, bad_link: BadLink
) -> None:
    bad_link.bad = lambda: stanza_error("not-acceptable", "no such value")
    agent = level(house)
    await with_poison(house, agent)
    assert dead_letters(path_of(agent))[0].reason == "not accepted: not-acceptable: no such value"


async def test_live_readings_pass_a_bad_one_that_is_tried_again(house: House, bad_link: BadLink) -> None:
    bad_link.bad = lambda: stanza_error("internal-server-error")
    agent = level(house)
    async with agent:
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 666)
        await until(lambda: bad_link.tries > 3)
        assert agent.status.dead == 0
        assert "not accepted so far" in agent.status.problems[0]
        await agent.publish("level", 1)
        # The service takes others: so it is this one.
        await until(lambda: agent.status.dead == 1)
    assert house.values("level") == [1]


async def test_a_service_that_is_ill_for_a_while_costs_nothing(house: House, bad_link: BadLink) -> None:
    bad_link.bad = lambda: stanza_error("resource-constraint")
    bad_link.times = 8
    agent = level(house)
    async with agent:
        await suspect_arrives(house, agent)
        assert (agent.status.dead, agent.status.problems) == (0, ())


async def test_a_link_that_goes_down_for_other_reasons_gives_nothing_up(
    house: House, bad_link: BadLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "BROKEN_WITHIN", 0.0)
    bad_link.bad = lambda: LinkDownError("no answer for a minute")
    bad_link.times = 10
    agent = level(house)
    async with agent:
        await suspect_arrives(house, agent)
        assert agent.status.dead == 0


async def test_a_dead_letter_can_be_tried_again_under_a_new_number(
    house: House, bad_link: BadLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_EVERY", 0.05)
    bad_link.bad = lambda: stanza_error("not-acceptable")
    agent = level(house)
    async with agent:
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 666, time=1_790_000_000.0)
        await until(lambda: len(dead_letters(path_of(agent))) == 1)  # the status counts it before it is there
        bad_link.times = 0
        await asyncio.to_thread(lambda: retry(path_of(agent), dead_letters(path_of(agent))))
        await until(lambda: bool(house.readings))
        await until(lambda: agent.status.buffered == 0)
        assert agent.status.dead == 0
    assert [(each.value, each.seq, each.time) for each in house.readings] == [(666, 2, 1_790_000_000.0)]


async def test_readings_without_a_time_become_dead_letters(house: House) -> None:
    agent = level(house)
    agent._clock.wall = lambda: 7.0
    agent._clock.boot = "before"
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        await agent.publish("level", 1)
    agent._clock = type(agent._clock)(boot="after")
    async with agent:
        await until(lambda: agent.status.dead == 1)
        await until(lambda: bool(house.gaps))
    assert "its time cannot be told" in dead_letters(path_of(agent))[0].reason
    assert house.readings == []


async def test_without_a_clock_readings_arrive_by_their_age(house: House) -> None:
    agent = level(house)
    agent._clock.wall = lambda: 7.0
    async with agent:
        await published(house, agent, 1)
    reading = house.readings[0]
    assert reading.clock == "r"
    import time

    assert abs(time.time() - reading.time) < 5
