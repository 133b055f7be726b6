"""A driver's life in an agent: read, asked, failing, and closed with it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from iotxmpp import Agent
from iotxmpp.agent.drivers import Sample
from iotxmpp.errors import CommandFailedError
from tests.unit.agent_house import House, until
from tests.unit.scripted_driver import Pushed, Scripted, problems


@pytest.mark.parametrize(
    "fault", [OSError(5, "pulled out"), ValueError("half"), SystemExit(1), asyncio.CancelledError()]
)
async def test_whatever_read_raises_is_a_problem_and_passes(
    agent_of: Callable[..., Agent], house: House, fault: BaseException
) -> None:
    driver = Scripted()
    driver.values = {"temperature": 21.5}
    driver.reading = fault
    agent = agent_of(driver)
    async with agent:
        await until(lambda: bool(problems(agent)))
        assert problems(agent)[0].startswith("station: ")
        driver.reading = None
        await until(lambda: not problems(agent) and bool(house.values("temperature")))
    assert driver.closed == driver.opened


async def test_a_command_to_absent_hardware_fails_and_the_agent_lives(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Scripted()
    driver.opening = FileNotFoundError(2, "no such device")
    async with agent_of(driver):
        with pytest.raises(CommandFailedError, match="no such device"):
            await house.call("ring")
        driver.opening = None
        await until(lambda: driver.opened == 1)
        assert await house.call("ring") == "ring 0"


async def test_a_channel_that_fails_alone_is_its_own_problem(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Scripted()
    driver.values = {"temperature": OSError("28-1: a damaged answer"), "door": True}
    agent = agent_of(driver)
    async with agent:
        await until(lambda: bool(house.values("door")))
        assert problems(agent) == ("temperature: 28-1: a damaged answer",)
        driver.values = {"temperature": 20.0}
        await until(lambda: bool(house.values("temperature")))
        assert problems(agent) == ()
    assert driver.opened == 1


async def test_a_failed_read_ends_the_samples_before_the_driver_is_closed(
    agent_of: Callable[..., Agent],
) -> None:
    order = list[str]()

    class Watched(Pushed):
        async def samples(self) -> AsyncIterator[Sample]:
            try:
                async for sample in super().samples():
                    yield sample
            finally:
                order.append("samples")

        async def __aexit__(self, *_: object) -> None:
            order.append("closed")

    driver = Watched()
    async with agent_of(driver):
        await until(lambda: driver.streams == 1)
        driver.reading = OSError("pulled out")
        await until(lambda: len(order) == 2)
        driver.reading = None
        await until(lambda: driver.streams >= 2)
    assert order[:2] == ["samples", "closed"]


async def test_an_open_that_hangs_holds_neither_the_agents_start_nor_its_end(
    agent_of: Callable[..., Agent],
) -> None:
    driver = Pushed()
    driver.hangs = True
    async with asyncio.timeout(5):
        async with agent_of(driver):
            await until(lambda: driver.tries == 1)
    assert driver.cancelled == 1


async def test_what_comes_while_the_agent_ends_makes_no_fault(
    agent_of: Callable[..., Agent], caplog: pytest.LogCaptureFixture
) -> None:
    class Chatty(Scripted):
        async def samples(self) -> AsyncIterator[Sample]:
            while True:
                await asyncio.sleep(0)
                yield Sample(values={"said": "still here"})

    driver = Chatty()
    agent = agent_of(driver)
    async with agent:
        await until(lambda: driver.opened == 1)
        await asyncio.sleep(0.05)
    assert driver.closed == driver.opened == 1
    assert agent.outlet() is None
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
