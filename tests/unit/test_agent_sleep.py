"""What a device says of itself before it sleeps, and when its link is back."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.agent import presence as presence_module
from iotxmpp.errors import InvalidError, NoAnswerError
from iotxmpp.link import PING, Presence
from iotxmpp.memory import MemoryLink
from iotxmpp.status import DeviceStatus, parse_status
from tests.unit.agent_house import House, account, until

JID = "greenhouse@example.org"


def whys(house: House) -> list[str]:
    return [status.why for status in house.statuses]


async def test_a_sleep_is_declared_and_no_heartbeat_disturbs_it(house: House) -> None:
    agent = house.agent(heartbeat=0.1)
    async with agent:
        await until(lambda: whys(house)[:2] == ["start", "heartbeat"])
        await agent.sleep(seconds=0.6)
        slept = time.monotonic()
        await until(lambda: whys(house)[-1:] == ["sleep"])
        presence, status = house.presences[-1], house.statuses[-1]
        assert (presence.available, presence.show, presence.text) == (True, "xa", "asleep for 1 s, 0 sensors")
        assert status.sleeping is not None
        assert 0 < status.sleeping <= 1
        count = len(house.statuses)
        await until(lambda: len(house.statuses) > count)
        assert 0.5 < time.monotonic() - slept < 2
        woken = house.statuses[-1]
        assert (woken.why, woken.sleeping, house.presences[-1].show) == ("heartbeat", None, "")


async def test_a_sleep_ends_early(house: House) -> None:
    agent = house.agent()
    async with agent:
        await agent.sleep(until=datetime.now(UTC) + timedelta(hours=1))
        await until(lambda: whys(house)[-1:] == ["sleep"])
        assert house.statuses[-1].sleeping == pytest.approx(3600, abs=5)
        assert agent.status.sleeping == pytest.approx(3600, abs=5)
        await agent.sleep(seconds=0)
        await until(lambda: whys(house)[-1:] == ["change"])
        assert (house.statuses[-1].sleeping, agent.status.sleeping) == (None, None)


@pytest.mark.parametrize("then", [0.0, 0.3])
async def test_after_a_sleep_that_was_cut_short_heartbeats_come_again(house: House, then: float) -> None:
    async with house.agent(heartbeat=0.1) as agent:
        await agent.sleep(seconds=3600)
        await asyncio.sleep(0.15)  # so that nothing waits for the old heartbeat any more
        await agent.sleep(seconds=then)
        count = len(house.statuses)
        await until(lambda: whys(house)[count:].count("heartbeat") >= 2)
        assert house.statuses[-1].sleeping is None


async def test_an_agent_that_ends_to_sleep_says_for_how_long(house: House) -> None:
    agent = house.agent()
    async with agent:
        await agent.sleep(until=time.time() + 600)
    await until(lambda: not house.presences[-1].available)
    assert house.statuses[-1].why == "stop"
    assert house.statuses[-1].sleeping == pytest.approx(600, abs=5)


class Slow(MemoryLink):
    """Tells when the server has answered a ping, which some do late, or never."""

    delay = 0.2
    announced: float = 0.0

    async def announce(self, presence: Presence) -> None:
        await super().announce(presence)
        self.announced = time.monotonic()

    async def call(self, to: str, payload: Element, **more: Any) -> Element | None:  # noqa: ANN401  # passed on
        if payload.tag == PING:
            assert to == "example.org"
            try:
                async with asyncio.timeout(more["timeout"]):
                    await asyncio.sleep(self.delay)
            except TimeoutError:
                raise NoAnswerError("no answer") from None
        return await super().call(to, payload, **more)


@pytest.fixture
def slow(house: House, monkeypatch: pytest.MonkeyPatch) -> Slow:
    link = Slow(account("greenhouse"), house.server._hub)
    house.server._links.append(link)
    monkeypatch.setattr("iotxmpp.agent.agent.open_link", lambda _: link)
    return link


async def test_a_sleep_is_declared_when_the_server_has_it(house: House, slow: Slow) -> None:
    async with house.agent() as agent:
        assert await agent.sleep(seconds=60) is True
        assert time.monotonic() - slow.announced >= slow.delay
        assert house.statuses[-1].why == "sleep"


async def test_a_server_that_says_nothing_keeps_nobody_awake(
    house: House, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "SURE_WITHIN", 0.1)
    slow.delay = 60.0
    async with house.agent() as agent:
        assert await agent.sleep(seconds=60) is False


async def test_a_sleep_while_the_link_is_down_is_said_later(house: House) -> None:
    async with house.agent() as agent:
        await until(lambda: whys(house) == ["start"])
        house.server.drop(JID, back_after=None)
        before = time.monotonic()
        assert await agent.sleep(seconds=60) is False
        assert time.monotonic() - before < 1
        house.server.restore(JID)
        await until(lambda: house.statuses[-1].sleeping is not None)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "give either seconds or until"),
        ({"seconds": 1, "until": 5}, "give either seconds or until"),
        ({"seconds": -1}, "-1 s from now; give a time to come"),
        ({"seconds": float("nan")}, "nan s from now"),
        ({"seconds": float("inf")}, "inf s from now"),
        ({"until": 1000.0}, "give a time to come"),
        ({"until": datetime(2100, 1, 1)}, "give its time zone"),  # noqa: DTZ001  # that is the fault
    ],
)
async def test_a_bad_time_is_refused(house: House, asked: dict[str, float], says: str) -> None:
    async with house.agent() as agent:
        with pytest.raises(InvalidError, match=says):
            await agent.sleep(**asked)


async def test_only_an_agent_that_runs_can_say_that_it_sleeps(house: House) -> None:
    with pytest.raises(InvalidError, match="does not run"):
        await house.agent().sleep(seconds=1)


@pytest.mark.parametrize("resume", [False, True])
async def test_a_new_session_begins_with_a_fresh_status(house: House, resume: bool) -> None:
    async with house.agent():
        await until(lambda: whys(house) == ["start"])
        house.server.drop(JID, resume=resume, back_after=0.05)
        await until(lambda: "reconnect" in whys(house))
        assert whys(house).count("start") == 1
        assert house.statuses[-1].uptime >= house.statuses[0].uptime


async def test_a_link_answers_pings_beside_an_agent(house: House) -> None:
    async with house.agent():
        await until(lambda: bool(house.presences))
        assert await house.watcher.call(house.presences[-1].sender, Element(PING), kind="get") is None


def test_the_status_carries_a_sleep() -> None:
    status = DeviceStatus(why="sleep", heartbeat=30, uptime=1, version="1", sleeping=600.4)
    element = status.element()
    assert element.get("sleeping") == "600"
    assert parse_status((element,)) == status.model_copy(update={"sleeping": 600.0})
    awake = DeviceStatus(heartbeat=30, uptime=1, version="1").element()
    assert awake.get("sleeping") is None


@pytest.mark.parametrize(("name", "value"), [("sleeping", "-1"), ("sleeping", "inf"), ("heartbeat", "inf")])
def test_a_bad_status_is_refused(name: str, value: str) -> None:
    element = DeviceStatus(heartbeat=30, uptime=1, version="1").element()
    element.set(name, value)
    with pytest.raises(InvalidError, match=name):
        parse_status((element,))
