import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Self
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import Agent
from iotxmpp.backoff import Backoff
from iotxmpp.commands import call_element, command_error, read_reply
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    ConfigError,
    CredentialsError,
    HostError,
    InvalidError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
)
from iotxmpp.link import Link
from iotxmpp.memory import MemoryLink
from tests.unit.agent_house import CONTROLLER, NODES, STRANGER, House, account, fault, open_house, until


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


def greenhouse(house: House, **more: float) -> Agent:
    agent = house.agent(**more)

    @agent.sensor("temperature", unit="Cel", every=30, range=(-40, 85))
    def temperature() -> float:
        """Of the air."""
        return 21.5

    @agent.command
    async def water(seconds: int = 10) -> str:
        """Waters the plants."""
        return f"watered for {seconds} s"

    return agent


def problems(agent: Agent) -> tuple[str, ...]:
    return agent.status.problems


# Readings and the self-description.


async def test_a_reading_arrives_with_its_unit_time_and_number(house: House) -> None:
    before = time.time()
    async with greenhouse(house):
        await until(lambda: bool(house.readings))
    reading = house.readings[0]
    assert (reading.channel, reading.value, reading.unit, reading.seq) == ("temperature", 21.5, "Cel", 1)
    assert before - 1 <= reading.time <= time.time()
    assert reading.epoch


async def test_the_self_description_comes_before_any_reading(house: House) -> None:
    async with greenhouse(house, heartbeat=12.5):
        await until(lambda: bool(house.readings))
    assert house.items[0].node == NODES.about
    assert house.items[0].id == "current"
    about = house.abouts[0]
    assert (about.device, about.heartbeat, about.version) == ("greenhouse", 12.5, "0.1.0")
    assert about.channels["temperature"].model_dump() == {
        "type": "float",
        "unit": "Cel",
        "range": (-40.0, 85.0),
        "description": "Of the air.",
    }
    assert about.commands["water"].description == "Waters the plants."
    assert about.commands["water"].arguments["properties"] == {"seconds": {"type": "integer", "default": 10}}


async def test_the_description_is_the_same_before_a_run(house: House) -> None:
    agent = greenhouse(house)
    async with agent:
        await until(lambda: bool(house.abouts))
    assert agent.about == house.abouts[0]


async def test_several_values_of_one_sample_have_one_time_and_one_pack(house: House) -> None:
    agent = house.agent()

    @agent.sensor({"temperature": "Cel", "humidity": "%RH"})
    def climate() -> dict[str, float]:
        return {"humidity": 50.5, "temperature": 20.0}

    async with agent:
        await until(lambda: len(house.readings) == 2)
    assert {(reading.channel, reading.unit) for reading in house.readings} == {
        ("temperature", "Cel"),
        ("humidity", "%RH"),
    }
    assert len({reading.time for reading in house.readings}) == 1
    assert len(house.items) == 2


async def test_readings_of_own_code_arrive_from_any_thread(house: House) -> None:
    agent = house.agent()
    agent.channel("motion", type="bool")
    agent.channel("level", type="int", unit="/100", range=(0, 100))
    async with agent:
        await agent.publish("motion", value=True, time=1_700_000_000.0)
        thread = threading.Thread(target=agent.publish_soon, args=("level", 5))
        thread.start()
        await until(lambda: len(house.readings) == 2)
        thread.join()
    assert house.readings[0].time == 1_700_000_000.0
    assert house.values("motion") == [True]
    assert house.values("level") == [5]


async def test_a_wrong_reading_of_own_code_is_refused(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int", range=(0, 100))
    with pytest.raises(InvalidError, match="does not run"):
        await agent.publish("level", 5)
    async with agent:
        for channel, value, text in (
            ("depth", 5, "'depth' is not declared; declared are: level"),
            ("level", 101, "level: 101 is out of its range, 0 to 100"),
            ("level", 1.5, "level: 1.5 is float, expected int"),
            ("level", True, "level: True is bool, expected int"),
            ("level", float("nan"), "not a finite number"),
        ):
            with pytest.raises(InvalidError, match=text):
                await agent.publish(channel, value)
            with pytest.raises(InvalidError, match=text):
                agent.publish_soon(channel, value)
        for moment in (5.0, float("nan"), 1e15):
            with pytest.raises(InvalidError, match="set the clock"):
                await agent.publish("level", 5, time=moment)
    assert house.readings == []


async def test_what_is_left_is_sent_at_the_end(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: bool(house.abouts))
        await asyncio.gather(*(agent.publish("level", level) for level in range(1200)))
        assert len(house.readings) < 1200
    await until(lambda: len(house.readings) == 1200)
    assert house.values("level") == list(range(1200))


# The link goes down.


async def test_readings_wait_while_the_link_is_down_and_keep_their_order(house: House) -> None:
    agent = house.agent()
    agent.channel("level", type="int")
    async with agent:
        await agent.publish("level", 0)
        await until(lambda: len(house.readings) == 1)
        house.server.drop("greenhouse@example.org", back_after=None)
        for level in range(1, 4):
            await agent.publish("level", level)
        await asyncio.sleep(0.02)
        assert agent.status.buffered == 3
        house.server.restore("greenhouse@example.org")
        await until(lambda: len(house.readings) == 4)
        assert agent.status.buffered == 0
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
        await until(lambda: agent.status.dead == 1)
        assert problems(agent)[0].startswith("readings: 1 given up, not accepted: not-acceptable")
        await agent.publish("level", 2)
        await until(lambda: len(house.readings) == 1)
        assert not problems(agent)
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
            assert not problems(agent)


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


# Presence.


async def test_the_first_presence_tells_how_the_device_is(house: House) -> None:
    async with greenhouse(house, heartbeat=60):
        await until(lambda: bool(house.statuses))
    first = house.presences[0]
    assert (first.available, first.text) == (True, "online, 1 sensor")
    status = house.statuses[0]
    assert (status.why, status.heartbeat, status.version, status.problems) == ("start", 60, "0.1.0", ())
    assert status.uptime < 5


async def test_heartbeats_come_within_the_promise(house: House) -> None:
    async with greenhouse(house, heartbeat=0.2):
        started = time.monotonic()
        await until(lambda: len(house.statuses) >= 4)
        assert time.monotonic() - started < 3 * 0.2 + 0.3
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


# Commands.


async def test_a_command_is_carried_out(house: House) -> None:
    async with greenhouse(house):
        assert await house.call("water", {"seconds": 20}) == "watered for 20 s"
        assert await house.call("water") == "watered for 10 s"


async def test_each_fault_of_a_call_has_its_own_error(house: House) -> None:
    agent = greenhouse(house)
    ran = []

    @agent.command
    def drain(liters: int) -> None:
        ran.append(liters)
        raise OSError("the valve is stuck")

    async def refusal(name: str, **more: object) -> CommandError:
        with pytest.raises(StanzaError) as caught:
            await house.call(name, **more)  # type: ignore[arg-type]
        return command_error(caught.value)

    async with agent, house.server.link(account("stranger")) as stranger:
        assert type(await refusal("flood")) is UnknownCommandError
        assert type(await refusal("water", arguments={"seconds": "20"})) is ArgumentsError
        assert type(await refusal("drain")) is ArgumentsError
        assert type(await refusal("water", by=stranger)) is NotAllowedError
        assert type(await refusal("flood", by=stranger)) is NotAllowedError
        assert "expired" in str(await refusal("drain", arguments={"liters": 1}, expires=time.time() - 1))
        assert ran == []
        with pytest.raises(CommandFailedError, match=r"^OSError: the valve is stuck$"):
            await house.call("drain", {"liters": 1})
        assert ran == [1]


async def test_a_device_without_controllers_obeys_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.presences.clear()
    async with house.server.link(account("greenhouse")) as link:
        agent = greenhouse(house)
        agent._controllers = ()
        agent._link = link
        async with agent:
            with pytest.raises(StanzaError, match="forbidden"):
                await house.watcher.call(link.jid, _water())
    assert "greenhouse has no controllers" in caplog.text


def _water() -> Element:
    return call_element("water", {}, id="c1")


async def test_the_given_controllers_replace_the_accounts(house: House) -> None:
    async with (
        house.server.link(account("stranger")) as stranger,
        house.server.link(account("greenhouse")) as link,
    ):
        agent = Agent(
            account("greenhouse", controllers=(CONTROLLER,)), controllers=[STRANGER.upper()], link=link
        )

        @agent.command
        def ping() -> int:
            return 1

        async with agent:
            element = call_element("ping", {}, id="c1")
            assert read_reply(await stranger.call(link.jid, element)) == 1
            with pytest.raises(StanzaError, match="forbidden"):
                await house.watcher.call(link.jid, element)


async def test_a_plain_function_runs_off_the_loop(house: House) -> None:
    agent = house.agent()
    release = threading.Event()

    @agent.command
    def slow() -> str:
        assert release.wait(3)
        return threading.current_thread().name

    @agent.command
    async def fast() -> str:
        return threading.current_thread().name

    async with agent:
        waiting = asyncio.create_task(house.call("slow"))
        assert await house.call("fast") == threading.main_thread().name
        release.set()
        assert await waiting == "slow"


# Declaring and running.


async def test_decorators_return_the_users_own_function() -> None:
    agent = Agent("greenhouse@example.org")

    def temperature() -> float:
        return 1.0

    def water(seconds: int = 10) -> int:
        return seconds

    assert agent.sensor("temperature", unit="Cel")(temperature) is temperature
    assert agent.command(water) is water
    assert agent.command(name="again")(water) is water


async def test_a_name_is_declared_once() -> None:
    agent = Agent("greenhouse@example.org")
    agent.channel("level", type="int")
    agent.command(name="water")(print_nothing)
    assert fault(lambda: agent.channel("level", type="int")) == "channel level: declared twice"
    assert fault(lambda: agent.sensor("level")(lambda: 1)) != ""
    assert fault(lambda: agent.command(name="water")(print_nothing)) == "command water: declared twice"


def print_nothing() -> None:
    return None


async def test_a_profiles_channels_are_known(house: House) -> None:
    agent = Agent("greenhouse@example.org", profile="bme280")

    @agent.sensor("temperature")
    def temperature() -> float:
        return 1.0

    assert agent._channels["temperature"].unit == "Cel"
    assert agent._channels["temperature"].range is not None
    assert agent.profile.startswith("bme280 ")
    assert len(agent._channels) > 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"jid_or_account": "greenhouse"}, "expected name@domain"),
        ({"jid_or_account": "Green_House@example.org"}, "device id 'green_house'"),
        ({"jid_or_account": "g@example.org", "heartbeat": 0}, "heartbeat"),
        ({"jid_or_account": "g@example.org", "heartbeat": float("inf")}, "heartbeat"),
        ({"jid_or_account": "g@example.org", "device": "no/slug"}, "device id"),
        ({"jid_or_account": "g@example.org", "site": "\x00"}, "site"),
        ({"jid_or_account": "g@example.org", "controllers": ["house"]}, "expected name@domain"),
        ({"jid_or_account": "g@example.org", "profile": "bme281"}, "bme280"),
        ({"jid_or_account": account("g"), "password": "x"}, "password"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        Agent(**arguments)  # type: ignore[arg-type]


async def test_a_missing_password_is_found_out_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTXMPP_PASSWORD", raising=False)
    monkeypatch.delenv("IOTXMPP_ACCOUNT", raising=False)
    with pytest.raises(ConfigError, match=r"no password for greenhouse@example\.org"):
        async with Agent("greenhouse@example.org"):
            pass


async def test_the_password_comes_from_the_environment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTXMPP_PASSWORD", "secret")
    async with Agent("greenhouse@example.org"):
        await until(lambda: bool(house.abouts))


async def test_a_refused_password_ends_it_even_when_waiting(house: House) -> None:
    agent = Agent("greenhouse@example.org", password="wrong")
    with pytest.raises(CredentialsError):
        async with agent:
            pass
    with pytest.raises(CredentialsError):
        await agent.serve(wait=True)


class UnreachableAtFirst(MemoryLink):
    """Cannot reach its server the first two times."""

    attempts = 0

    async def __aenter__(self) -> Self:
        self.attempts += 1
        if self.attempts <= 2:
            raise HostError("example.org cannot be reached")
        await super().__aenter__()
        return self


@pytest.fixture
def unreachable(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(of: object) -> Link:
        return UnreachableAtFirst(account("greenhouse"), house.server._hub)

    monkeypatch.setattr("iotxmpp.agent.agent.open_link", make)


async def test_entering_does_not_wait_for_a_server(house: House, unreachable: None) -> None:
    with pytest.raises(HostError):
        async with greenhouse(house):
            pass


async def test_serving_waits_for_a_server_and_reads_meanwhile(
    house: House, unreachable: None, caplog: pytest.LogCaptureFixture
) -> None:
    agent = greenhouse(house)
    serving = asyncio.create_task(agent.serve())
    await until(lambda: bool(house.readings))
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert caplog.text.count("example.org cannot be reached; trying again in 0 s") == 2


async def test_serving_can_be_told_not_to_wait(house: House, unreachable: None) -> None:
    with pytest.raises(HostError):
        await greenhouse(house).serve(wait=False)


async def test_a_given_link_is_left_open(house: House) -> None:
    async with house.server.link(account("greenhouse")) as link:
        async with Agent("greenhouse@example.org", controllers=[CONTROLLER], link=link) as agent:
            await until(lambda: bool(house.abouts))
            assert agent.device == "greenhouse"
        assert link.state.up
        async with agent:
            await until(lambda: len(house.abouts) == 2)


async def test_a_given_link_may_come_up_later(house: House) -> None:
    link = house.server.link(account("greenhouse"))
    agent = house.agent(link=link)
    agent.channel("level", type="int")
    async with agent:
        await agent.publish("level", 1)
        async with link:
            await until(lambda: bool(house.readings))
            assert house.statuses[0].why == "start"


async def test_an_agent_runs_once_at_a_time_and_again_later(house: House) -> None:
    agent = greenhouse(house)
    async with agent:
        with pytest.raises(InvalidError, match="runs already"):
            await agent.__aenter__()
        assert "before the agent runs" in fault(lambda: agent.channel("level", type="int"))
        await until(lambda: bool(house.readings))
        await until(lambda: agent.status.buffered == 0)
    agent.channel("level", type="int")
    async with agent:
        await until(lambda: len(house.readings) == 2)
    assert house.readings[0].epoch != house.readings[1].epoch


async def test_a_fault_in_a_task_of_ours_ends_serving(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("iotxmpp.agent.publisher.Publisher.run", fail)
    with pytest.raises(ZeroDivisionError):
        await greenhouse(house).serve()
    assert "publisher failed" in caplog.text


async def test_every_task_ends(house: House) -> None:
    logging.getLogger("asyncio").setLevel(logging.DEBUG)
    before = asyncio.all_tasks()
    async with greenhouse(house):
        await until(lambda: bool(house.readings))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before
