"""Commands from a controller to a device, on Prosody and on ejabberd."""

import pytest

from iotxmpp import Device, Reading
from iotxmpp.controller.calls import call_command
from iotxmpp.errors import (
    ArgumentsError,
    CommandFailedError,
    DeviceAwayError,
    NotAllowedError,
    UnknownCommandError,
)
from tests.contract.world import Collected
from tests.live.greenhouse import House, greenhouse, link_of, take_at_once
from tests.live.site import PATIENCE, Site, name_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_commands_give_their_results(house: House) -> None:
    assert await house.handle.call("water") == "watered for 10 s"
    assert await house.handle.call("water", seconds=20) == "watered for 20 s"
    assert await house.handle.call("add", left=1.5, right=2) == {"sum": 3.5}


async def test_the_four_refusals_of_a_command_are_told_apart(house: House) -> None:
    with pytest.raises(ArgumentsError, match="seconds") as wrong:
        await house.handle.call("water", seconds="soon")
    with pytest.raises(ArgumentsError, match="litres"):
        await house.handle.call("water", litres=3)
    with pytest.raises(ArgumentsError, match="right"):
        await house.handle.call("add", left=1)
    with pytest.raises(UnknownCommandError, match=r"no command fly.*add, jam, water") as unknown:
        await house.handle.call("fly")
    stranger = await house.site.link(await house.site.account("stranger"))
    with pytest.raises(NotAllowedError, match="does not obey you") as refused:
        await call_command(stranger, link_of(house.agent).jid, "water", {}, timeout=5)
    with pytest.raises(CommandFailedError, match="RuntimeError: the valve is stuck") as failed:
        await house.handle.call("jam")
    for caught in (wrong, unknown, refused, failed):
        assert "Traceback" not in str(caught.value)
        assert ".py" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert await house.handle.call("water", seconds=1) == "watered for 1 s"


async def test_a_command_for_a_device_that_is_away_fails_at_once(house: House) -> None:
    await house.agent.__aexit__(None, None, None)
    try:
        handle = await house.controller.wait_for(house.handle.id, online=False, timeout=PATIENCE)
        with pytest.raises(DeviceAwayError, match="offline"):
            await take_at_once(handle.call("water"))
    finally:
        await house.agent.__aenter__()


async def test_a_command_for_a_session_that_ended_fails_at_once(house: House) -> None:
    jid = link_of(house.agent).jid
    caller = await house.site.link(house.account)
    await house.agent.__aexit__(None, None, None)
    try:
        with pytest.raises(DeviceAwayError):
            await take_at_once(call_command(caller, jid, "water", {}, timeout=5))
    finally:
        await house.agent.__aenter__()


async def test_a_command_from_a_handler_of_readings(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    controller, answers = site.controller(account), Collected[object]()

    @controller.on_reading("temperature")
    async def too_hot(reading: Reading, device: Device) -> None:
        if isinstance(reading.value, float) and reading.value > 30:
            answers.add(await device.call("water", seconds=20))

    async with greenhouse(device) as agent, controller:
        await controller.wait_for(name_of(device))
        await agent.publish("temperature", 29.0)
        await agent.publish("temperature", 31.0)
        assert await answers.count(1) == ["watered for 20 s"]
