"""Live readings go out from memory: at once, or gathered, several packs in flight, and none is lost."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest

from iotxmpp import Agent
from iotxmpp.agent.outbox import taking
from iotxmpp.agent.outbox.inspection import waiting
from iotxmpp.agent.outbox.recent import Recent
from iotxmpp.agent.running import Running
from iotxmpp.agent.window import SHORT, WIDEST, Window
from iotxmpp.errors import LinkDownError, NoAnswerError, stanza_error
from tests.unit.agent_house import House, until
from tests.unit.delivery_house import (
    GateLink,
    level,
    open_bad_link,
    open_gate_link,
    path_of,
    published,
)

NEVER = 60.0
GATHER = 0.02


@pytest.fixture
def link(house: House, monkeypatch: pytest.MonkeyPatch) -> GateLink:
    return open_gate_link(house, monkeypatch)


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits follow one another closely."""
    monkeypatch.setattr(taking, "COMMIT_EVERY", 0.005)


def running_of(agent: Agent) -> Running:
    assert agent._running is not None
    return agent._running


def take(agent: Agent, *values: int) -> None:
    for value in values:
        running_of(agent).take({"level": value})


async def calm(agent: Agent, house: House) -> None:
    """The agent is connected, and its first reading is on disk and acknowledged."""
    await published(house, agent, 0)
    await until(lambda: agent.status.buffered == 0)


# From memory.


async def test_a_reading_goes_out_before_it_is_committed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.collects = False
        monkeypatch.setattr(taking, "COMMIT_EVERY", NEVER)
        keeper = running_of(agent).keeper
        take(agent, 1, 2)
        await until(lambda: house.values("level") == [0, 1, 2])
        assert keeper.settled_place == keeper.last_place - 2


async def test_nothing_goes_past_what_is_neither_on_disk_nor_acknowledged(
    house: House, link: GateLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an agent that is killed then may leave a hole among its numbers, which nobody can fill."""
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.collects = False
        monkeypatch.setattr(taking, "COMMIT_EVERY", NEVER)
        take(agent, 1)
        await until(lambda: house.values("level") == [0, 1])
        take(agent, 2)
        await asyncio.sleep(3 * GATHER)
        assert link.sent[-1] == [2]
        await house.ack()
        await until(lambda: link.sent[-1] == [3])
        take(agent, 3)
        await running_of(agent).keeper.flush()
        await until(lambda: link.sent[-1] == [4])


async def test_an_ack_ends_the_wait_for_the_commit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        monkeypatch.setattr(taking, "COMMIT_EVERY", NEVER)
        async with asyncio.timeout(NEVER / 10):
            await asyncio.gather(*(agent.publish("level", value) for value in (1, 2, 3)))
        assert running_of(agent).keeper.stock.held <= 1
        assert agent.status.buffered == 0
    house.items.clear()
    async with agent:
        await published(house, agent, 4)
        assert (house.values("level"), house.gaps, agent.status.problems) == ([4], [], ())


async def test_without_a_collector_the_commit_ends_the_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = level(house, controllers=[])
    async with agent:
        await published(house, agent, 1)
        monkeypatch.setattr(taking, "COMMIT_EVERY", NEVER)
        task = asyncio.create_task(agent.publish("level", 2))
        await until(lambda: house.values("level") == [1, 2])
        await asyncio.sleep(0.02)
        assert not task.done()
        await running_of(agent).keeper.flush()
        await task
        await until(lambda: agent.status.buffered == 0)


async def test_who_gives_up_waiting_disturbs_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.collects = False
        monkeypatch.setattr(taking, "COMMIT_EVERY", 0.1)
        first, second = (asyncio.create_task(agent.publish("level", value)) for value in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()
        await until(lambda: house.values("level") == [0, 1, 2])


async def test_what_was_published_and_never_committed_is_neither_sent_again_nor_declared(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are as a kill between the two leaves them."""
    house.collects = False
    agent = level(house, outbox=tmp_path / "before" / "outbox.db")
    async with agent:
        await published(house, agent, 1)
        monkeypatch.setattr(taking, "COMMIT_EVERY", NEVER)
        take(agent, 2, 3)
        await until(lambda: house.values("level") == [1, 2, 3])
        shutil.copytree(tmp_path / "before", tmp_path / "after")
    monkeypatch.undo()
    monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
    house.items.clear()
    house.have.clear()
    house.collects = True
    later = level(house, outbox=tmp_path / "after" / "outbox.db")
    async with later:
        await published(house, later, 4)
        await until(lambda: later.status.buffered == 0)
        assert (sorted(map(str, house.values("level"))), house.gaps) == (["1", "4"], [])
        assert later.status.problems == ()
    assert waiting(path_of(later)) == []


async def test_what_memory_has_no_room_for_comes_from_the_disk(
    house: House,
) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        assert len(running_of(agent).keeper._recent) == 0
        running_of(agent).keeper._recent = Recent(most=10)
        await asyncio.gather(*(agent.publish("level", value) for value in range(1, 301)))
        assert len(running_of(agent).keeper._recent) <= 10
        await until(lambda: agent.status.buffered == 0)
        assert Counter(house.values("level")) == Counter(range(301))


# Gathering.


async def test_readings_gather_while_a_pack_is_in_flight(house: House, link: GateLink, prompt: None) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        link.gate.clear()
        take(agent, 1)
        await until(lambda: link.sent[-1] == [2])  # at once: nothing else was in flight
        for value in (2, 3, 4):
            take(agent, value)
            await asyncio.sleep(0.005)
        assert link.flying == 1
        link.gate.set()
        await until(lambda: link.sent[-1] == [3, 4, 5])
        await until(lambda: agent.status.buffered == 0)
        assert house.values("level") == [0, 1, 2, 3, 4]


async def test_where_there_is_room_in_the_window_readings_wait_no_longer_than_they_gather(
    house: House, link: GateLink, prompt: None
) -> None:
    agent = level(house)
    agent._outbox = agent._outbox.model_copy(update={"gather": 0.05})
    async with agent:
        await calm(agent, house)
        running_of(agent)._publisher._window.size = 2
        link.gate.clear()
        take(agent, 1)
        await until(lambda: link.sent[-1] == [2])
        take(agent, 2)
        await asyncio.sleep(0.01)
        assert link.sent[-1] == [2]
        take(agent, 3)
        await until(lambda: link.sent[-1] == [3, 4])
        assert link.flying == 2
        link.gate.set()
        await until(lambda: agent.status.buffered == 0)


async def test_the_backlog_is_emptied_while_live_readings_come_all_the_time(
    house: House, prompt: None
) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("level", value) for value in range(1, 1201)))
        house.server.delay(0.02)
        house.server.restore("greenhouse@example.org")
        value = 5000
        async with asyncio.timeout(20):
            while not set(range(1201)) <= set(house.values("level")):
                take(agent, value)
                value += 1
                await asyncio.sleep(0.002)


# The window.


async def test_a_near_link_has_several_whole_packs_in_flight(
    house: House, link: GateLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotxmpp.agent.line.MOST_READINGS", 20)
    monkeypatch.setattr("iotxmpp.agent.outbox.packs.MOST_READINGS", 20)
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.server.delay(0.002)
        await asyncio.gather(
            *(agent.publish_many(("level", 40 * task + each) for each in range(40)) for task in range(100))
        )
        await until(lambda: agent.status.buffered == 0)
    assert max(link.alongside) > SHORT
    assert sorted(pack[0] for pack in link.sent) == [pack[0] for pack in link.sent]
    assert len(house.readings) == 4001


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize(("delay", "least", "most"), [(0.15, 3, WIDEST), (0.002, 1, SHORT)])
async def test_a_slow_link_has_several_packs_in_flight(
    house: House, link: GateLink, delay: float, least: int, most: int
) -> None:
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.server.delay(delay)
        last = 0
        while last < 300 or (max(link.alongside) < least and last < 3000):  # a busy machine takes longer
            last += 1
            take(agent, last)
            await asyncio.sleep(0.004)
        assert least <= max(link.alongside) <= most
        house.server.delay(0.0)
        await until(lambda: agent.status.buffered == 0)
    assert house.values("level") == list(range(last + 1))
    assert [number for pack in link.sent for number in pack] == list(range(1, last + 2))


async def three_in_flight(agent: Agent, house: House, link: GateLink) -> None:
    """The readings 2, 3 and 4 are in flight, each in a pack of its own."""
    await calm(agent, house)
    running_of(agent)._publisher._window.size = 3
    link.gate.clear()
    for number in (2, 3, 4):
        take(agent, number)
        await until(lambda number=number: link.sent[-1] == [number])  # type: ignore[misc]  # mypy infers no type of a default
    take(agent, 5)


@pytest.mark.usefixtures("prompt")
async def test_packs_whose_answers_come_together_open_the_window_alike(
    house: House, link: GateLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []
    monkeypatch.setattr(
        Window, "accepted", lambda _, __, *, others_waited, whole: waited.append(others_waited)
    )
    agent = level(house)
    async with agent:
        await three_in_flight(agent, house, link)
        await asyncio.sleep(3 * GATHER)
        del waited[:]
        link.gate.set()
        await until(lambda: len(waited) >= 3)
    assert waited[:3] == [True] * 3


async def after_trouble(agent: Agent, house: House, link: GateLink) -> None:
    """Everything comes once, what was in flight one by one, and nobody is blamed."""
    before = len(link.sent)
    link.gate.set()
    await until(lambda: agent.status.buffered == 0)
    assert Counter(house.values("level")) == Counter([0, 2, 3, 4, 5])
    again = [pack for pack in link.sent[before:] if set(pack) & {2, 3, 4}]
    assert len(again) <= 3
    assert link.alongside[before:] == [1] * len(link.alongside[before:])
    assert running_of(agent)._publisher._window.size == 1
    assert agent.status.dead == 0


async def test_a_link_that_goes_down_loses_nothing_of_the_window(
    house: House, link: GateLink, prompt: None
) -> None:
    agent = level(house)
    async with agent:
        await three_in_flight(agent, house, link)
        link.errors = {number: LinkDownError("cut") for number in (2, 3, 4)}
        house.server.drop("greenhouse@example.org", back_after=0.02)
        await after_trouble(agent, house, link)


@pytest.mark.parametrize(
    "error", [stanza_error("resource-constraint", "slow down"), NoAnswerError("nothing came")], ids=str
)
@pytest.mark.parametrize("number", [2, 3, 4])
async def test_one_that_is_not_accepted_is_not_to_blame_among_others(
    house: House, link: GateLink, prompt: None, error: Exception, number: int
) -> None:
    agent = level(house)
    async with agent:
        await three_in_flight(agent, house, link)
        link.errors = {number: error}
        await after_trouble(agent, house, link)


async def test_one_that_breaks_the_link_is_found_among_others_in_flight(
    house: House, monkeypatch: pytest.MonkeyPatch, prompt: None
) -> None:
    link = open_bad_link(house, monkeypatch)

    def break_link() -> Exception:
        house.server.drop("greenhouse@example.org", back_after=0.02)
        return LinkDownError("policy-violation")

    link.bad = break_link
    agent = level(house)
    async with agent:
        await calm(agent, house)
        house.server.delay(0.1)
        running_of(agent)._publisher._window.size = 3
        for value in (1, 2, 666, 3, 4):
            take(agent, value)
            await asyncio.sleep(2 * GATHER)
        house.server.delay(0.0)
        await until(lambda: agent.status.dead == 1, 8)
        await until(lambda: agent.status.buffered == 0, 8)
    assert Counter(house.values("level")).keys() == {0, 1, 2, 3, 4}
    assert [(gap.reason, gap.lost) for gap in house.gaps] == [("dead-letter", ((4, 4),))]


# While it connects.


async def test_what_was_read_while_it_connected_keeps_its_order(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "COMMIT_EVERY", 0.0)
    monkeypatch.setattr("iotxmpp.agent.line.random.uniform", lambda low, high: high)
    agent = level(house)
    link = open_gate_link(house, monkeypatch)
    enter = link.__aenter__

    async def slowly() -> GateLink:
        await running_of(agent).keeper.keep({"level": (1, None)})
        running_of(agent).keeper.take({"level": (2, None)})
        await enter()
        running_of(agent).keeper.take({"level": (3, None)})
        return link

    monkeypatch.setattr(GateLink, "__aenter__", lambda _: slowly())
    async with agent:
        await until(lambda: len(house.values("level")) == 3)
    assert house.values("level") == [1, 2, 3]
