"""An agent's start, its tasks and its end."""

import asyncio
import logging
from typing import Self

import pytest

from iotxmpp import Agent
from iotxmpp.errors import ConfigError, CredentialsError, HostError, InvalidError
from iotxmpp.link import Link
from iotxmpp.memory import MemoryLink
from tests.unit.agent_house import CONTROLLER, House, account, fault, until
from tests.unit.greenhouse import greenhouse


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
