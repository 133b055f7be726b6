"""From the outbox to the collector: acks, replay, gaps, poison, and what a killed agent leaves."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest

from iotxmpp import Agent
from iotxmpp.addresses import NodeAddress
from iotxmpp.agent import OutboxSettings, publisher
from iotxmpp.agent import line as line_module
from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox.inspection import dead_letters, lost, retry, waiting
from iotxmpp.agent.outbox.rows import seq_of
from iotxmpp.crashpoints import VARIABLE
from iotxmpp.errors import LinkDownError, OutboxFullError, StanzaError, stanza_error
from iotxmpp.link import Link
from iotxmpp.memory import MemoryLink
from tests.unit.agent_house import CONTROLLER, House, account, open_house, until
from tests.unit.outbox_house import one, opened

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


class BadLink(MemoryLink):
    """Fails to publish what holds a certain value."""

    times = 1000
    tries = 0

    def __init__(self, *of: Any) -> None:  # noqa: ANN401  # what any link is made of
        super().__init__(*of)
        self.bad: Callable[[], Exception] = AssertionError

    async def publish(self, node: NodeAddress, payload: Element, **more: Any) -> None:  # noqa: ANN401
        if '"v":666' in tostring(payload, encoding="unicode") and self.times > 0:
            self.times -= 1
            self.tries += 1
            raise self.bad()
        await super().publish(node, payload, **more)


@pytest.fixture
def bad_link(house: House, monkeypatch: pytest.MonkeyPatch) -> BadLink:
    link = BadLink(account("greenhouse"), house.server._hub)
    house.server._links.append(link)
    monkeypatch.setattr(publisher, "AGAIN", 0.005)

    def make(_: object) -> Link:
        return link

    monkeypatch.setattr("iotxmpp.agent.agent.open_link", make)
    return link


def level(house: House, **more: Any) -> Agent:  # noqa: ANN401  # an agent's own arguments
    agent = house.agent(**more)
    agent.channel("level", type="int")
    return agent


def path_of(agent: Agent) -> Path:
    assert agent.outbox_path is not None
    return agent.outbox_path


async def published(house: House, agent: Agent, *values: int) -> str:
    """Publishes and waits until it arrived; the epoch."""
    await asyncio.gather(*(agent.publish("level", value) for value in values))
    await until(lambda: set(values) <= set(house.values("level")))
    return house.readings[-1].epoch


# Acks.


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
    async with agent:
        await until(lambda: bool(house.presences))
        for element, kind in (
            (Element("{urn:iotxmpp:delivery:0}ack", {"again": "perhaps"}), "set"),
            (Element("{urn:iotxmpp:delivery:0}ack"), "get"),
        ):
            with pytest.raises(StanzaError, match="bad-request"):
                await house.watcher.call(house.presences[-1].sender, element, kind=kind)  # type: ignore[arg-type]


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


# Publishing again.


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
        await agent.publish("level", 1)
        for count in range(1, 5):
            await until(lambda count=count: len(house.readings) == count)  # type: ignore[misc]
            times.append(asyncio.get_running_loop().time())
        waits = [later - before for before, later in itertools.pairwise(times)]
        assert waits[0] >= 0.09
        assert waits[1] >= 0.19
        assert waits[2] >= 0.39
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


async def test_an_alarm_is_sent_at_once(house: House) -> None:
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


# What is lost is told.


async def test_what_found_no_room_reaches_the_collector_as_a_gap(house: House) -> None:
    agent = level(house, outbox=OutboxSettings(bytes=36 * 200, replay_delay=0.0))
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        for start in range(0, 500, 100):
            await asyncio.gather(*(agent.publish("level", value) for value in range(start, start + 100)))
        dropped = agent.status.dropped
        assert dropped >= 300
    assert [(each.first, each.last, each.reason) for each in lost(path_of(agent))] == [(1, dropped, "full")]
    async with agent:
        await until(lambda: len(house.readings) == 500 - dropped)
        await until(lambda: agent.status.buffered == 0)
        await until(lambda: bool(house.gaps))
    assert [(gap.reason, gap.lost) for gap in house.gaps] == [("full", ((1, dropped),))]
    assert [numbers.contiguous for numbers in house.have.values()] == [500]
    assert lost(path_of(agent)) == []


async def test_a_channel_may_reject(house: House) -> None:
    agent = house.agent(outbox=OutboxSettings(bytes=4096))
    agent.channel("level", type="int", when_full="reject")
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        results = await asyncio.gather(
            *(agent.publish("level", value) for value in range(200)), return_exceptions=True
        )
        refused = [each for each in results if isinstance(each, OutboxFullError)]
        assert len(refused) == 200 - 4096 // 36
        assert (agent.status.dropped, agent.status.buffered) == (0, 4096 // 36)
        agent.publish_soon("level", 1)
        await until(lambda: any("outbox is full" in text for text in agent.status.problems))


# Poison.


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
    assert sorted(house.values("level")) == [n for n in range(1, 102) if n != 70]  # type: ignore[type-var]
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

    async def publish(self, node: NodeAddress, payload: Element, **more: Any) -> None:  # noqa: ANN401
        text = tostring(payload, encoding="unicode")
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
            await until(lambda value=value: value in house.values("level"), 1.0)  # type: ignore[misc]
            await asyncio.sleep(0.005)
        await until(lambda: agent.status.dead == 3, 5)
        await until(lambda: agent.status.buffered == 0, 5)
    assert sorted(house.values("level")) == list(range(20))  # type: ignore[type-var]
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
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 666)
        await until(lambda: house.values("level") == [666])
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
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 666)
        await until(lambda: house.values("level") == [666])
        assert (agent.status.dead, agent.status.problems) == (0, ())


async def test_a_link_that_goes_down_for_other_reasons_gives_nothing_up(
    house: House, bad_link: BadLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "BROKEN_WITHIN", 0.0)
    bad_link.bad = lambda: LinkDownError("no answer for a minute")
    bad_link.times = 10
    agent = level(house)
    async with agent:
        await until(lambda: bool(house.abouts))
        await agent.publish("level", 666)
        await until(lambda: house.values("level") == [666])
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
        await until(lambda: agent.status.dead == 1)
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


# A killed agent.


def run_child(folder: Path, first: int, count: int, crash: str | None = None) -> int:
    environment = {**os.environ, **({VARIABLE: crash} if crash else {})}
    command = [sys.executable, "-m", "tests.unit.outbox_child", str(folder), str(first), str(count)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, timeout=60, capture_output=True, text=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("label", ["accepted:12", "committed:3", "published:3", "acked:3", "trimmed:2"])
def test_a_kill_at_any_point_loses_nothing_that_was_promised(tmp_path: Path, label: str) -> None:
    assert run_child(tmp_path, 0, 40, label) == -signal.SIGKILL
    assert run_child(tmp_path, 100, 10) == 0
    promised = [int(line) for line in (tmp_path / "promised").read_text().split()]
    lines = [line.split() for line in (tmp_path / "received").read_text().splitlines()]
    by_number = {(epoch, seq): int(value) for epoch, seq, value in lines}
    assert promised
    assert promised[-10:] != promised[:10]
    # Each number has one value, each value one number; what was promised is among them.
    assert {(epoch, seq, int(value)) for epoch, seq, value in lines} == {
        (*number, value) for number, value in by_number.items()
    }
    assert len(set(by_number.values())) == len(by_number)
    assert set(promised) <= set(by_number.values())
    assert waiting(tmp_path / "outbox.db") == []
