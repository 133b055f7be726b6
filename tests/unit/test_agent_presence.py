"""What an agent says of itself in its presence."""

import logging
import time

import pytest

from tests.unit.agent_house import House, account, until
from tests.unit.greenhouse import greenhouse


async def test_the_first_presence_tells_how_the_device_is(house: House) -> None:
    async with greenhouse(house, heartbeat=60):
        await until(lambda: bool(house.statuses))
    first = house.presences[0]
    assert (first.available, first.text) == (True, "online, 1 sensor")
    status = house.statuses[0]
    assert (status.why, status.heartbeat, status.version, status.problems) == ("start", 60, "0.1.0", ())
    assert status.uptime < 5


async def test_heartbeats_come_within_the_promise(house: House) -> None:
    async with greenhouse(house, heartbeat=0.5):
        started = time.monotonic()
        await until(lambda: len(house.statuses) >= 4)
        assert time.monotonic() - started < 3 * 0.5 + 0.5
    assert [status.why for status in house.statuses[:4]] == ["start", "heartbeat", "heartbeat", "heartbeat"]


async def test_heartbeats_keep_the_promise_beside_changes(house: House) -> None:
    agent = house.agent(heartbeat=1.0)
    async with agent:
        running = agent._running
        assert running is not None
        running.problems.report("x", "broken")
        await until(lambda: len(house.statuses) >= 3)
    assert [status.why for status in house.statuses[:3]] == ["start", "change", "heartbeat"]
    # After a change no other is announced for 0.45 s; the next heartbeat is not 0.45 s later for that.
    assert house.seen_at[2] - house.seen_at[1] < 1.15


@pytest.mark.parametrize(
    ("outbox", "level", "where"),
    [
        (None, logging.INFO, "they wait on disk"),
        ("memory", logging.WARNING, "they are lost if they did not arrive"),
    ],
)
async def test_what_could_not_be_sent_is_said_at_the_end(
    house: House, caplog: pytest.LogCaptureFixture, outbox: str | None, level: int, where: str
) -> None:
    caplog.set_level(logging.INFO, "iotxmpp")
    agent = house.agent(outbox=outbox)
    agent.channel("level", type="int")
    async with agent:
        house.server.drop("greenhouse@example.org", back_after=None)
        await agent.publish("level", 1)
    told = [(each.levelno, each.message) for each in caplog.records if "acknowledged" in each.message]
    assert told == [(level, f"1 readings are not acknowledged; {where}")]


async def test_the_end_is_announced(house: House) -> None:
    async with greenhouse(house):
        await until(lambda: bool(house.statuses))
    await until(lambda: not house.presences[-1].available)
    last = house.presences[-1]
    assert last.text == "stopped, 1 sensor"
    assert house.statuses[-1].why == "stop"


async def test_a_problem_and_its_end_are_announced_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotxmpp.agent.presence.CHANGE_GAP", 0.01)
    agent = house.agent()
    broken = True

    @agent.sensor("temperature", unit="Cel", every=0.02)
    def temperature() -> float:
        if broken:
            raise OSError("bus \x00 error")
        return 20.0

    async with agent:
        await until(lambda: bool(house.problems))
        assert house.problems == ("temperature: OSError: bus \ufffd error",)
        assert house.statuses[-1].why == "change"
        assert house.presences[-1].text == "online, 1 sensor, 1 problem"
        broken = False
        await until(lambda: not house.problems)
        await until(lambda: bool(house.values("temperature")))


async def test_only_controllers_see_the_presence(house: House) -> None:
    seen = []

    async def see(presence: object) -> None:
        seen.append(presence)

    async with house.server.link(account("stranger")) as stranger:
        stranger.on_presence(see)
        await stranger.follow("greenhouse@example.org")
        async with greenhouse(house):
            await until(lambda: bool(house.statuses))
    assert seen == []


async def test_features_are_advertised(house: House) -> None:
    async with house.server.link(account("greenhouse")) as link:
        async with house.agent(link=link):
            pass
        assert link.features >= {
            "http://jabber.org/protocol/commands",
            "urn:iotxmpp:command:0",
            "urn:iotxmpp:status:0",
        }
