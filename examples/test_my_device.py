"""Tests of a device of your own, with no server and no hardware: pip install pytest pytest-asyncio."""

import asyncio

import pytest
from pydantic import SecretStr

from iotxmpp import Account, Agent, Controller
from iotxmpp.addresses import device_id
from iotxmpp.errors import ArgumentsError
from iotxmpp.link import Link
from iotxmpp.memory import MemoryServer
from iotxmpp.server.devices import add_device


def greenhouse(account: Account, link: Link | None = None) -> Agent:
    """Your device, which you would import from your own module."""
    agent = Agent(account, link=link)
    agent.channel("temperature", type="float", unit="Cel")

    @agent.command
    async def water(seconds: int) -> str:
        await agent.publish("temperature", 21.5 - seconds)
        return f"watered for {seconds} s"

    return agent


@pytest.mark.asyncio
async def test_watering_cools() -> None:
    server = MemoryServer("example.org")
    house = Account(jid="house@example.org", password=SecretStr("secret"))
    await server.create_account(house.jid, "secret")
    account = await add_device(server, house, device_id("greenhouse"), controllers=(house.jid,))
    async with server.link(house) as ours, server.link(account) as its:
        controller = Controller(house, link=ours, store="sqlite://")
        temperatures: asyncio.Queue[float] = asyncio.Queue()

        @controller.on_reading("temperature")
        async def heard(temperature: float) -> None:
            await temperatures.put(temperature)

        async with greenhouse(account, its), controller:
            device = await controller.wait_for("greenhouse")
            assert await device.call("water", seconds=3) == "watered for 3 s"
            assert await temperatures.get() == 18.5
            with pytest.raises(ArgumentsError, match="seconds"):
                await device.call("water", seconds="three")
            server.drop(account.jid)  # and the device is away for a moment
            await controller.wait_for("greenhouse", online=False)
            await controller.wait_for("greenhouse", online=True)
