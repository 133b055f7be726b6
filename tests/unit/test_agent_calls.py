"""An agent that is called."""

import asyncio
import threading
import time
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import Agent
from iotxmpp.commands import call_element, command_error, read_reply
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
)
from tests.unit.agent_house import CONTROLLER, STRANGER, House, account
from tests.unit.greenhouse import greenhouse


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

    async def refusal(name: str, **more: Any) -> CommandError:  # noqa: ANN401  # passed on
        with pytest.raises(StanzaError) as caught:
            await house.call(name, **more)
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
