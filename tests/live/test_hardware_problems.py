"""Hardware that is not there, as a controller sees it, on Prosody and on ejabberd."""

import asyncio
import urllib.request

import pytest

import device_profiles
from iotxmpp import Agent
from iotxmpp.agent.drivers import Driver, create_driver
from iotxmpp.agent.profiled import equip
from tests.live.site import Site, name_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_BUS = 250


async def test_a_bus_that_is_not_there_is_counted_until_it_is(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("weather", account)
    agent, profile, mended = Agent(device, heartbeat=5.0), device_profiles.load("bme280"), asyncio.Event()

    def make() -> Driver:
        return create_driver(profile, {"simulated": True} if mended.is_set() else {"bus": NO_BUS})

    equip(agent, profile, make, every=0.1)

    def problems() -> tuple[str, ...]:
        return () if handle.status is None else handle.status.problems

    async with site.controller(account, metrics_port=0) as controller:
        async with agent:
            handle = await controller.wait_for(name_of(device))
            await until(lambda: problems() != (), "the problem")
            assert f"/dev/i2c-{NO_BUS}: no such I2C bus" in problems()[0]
            assert await _gauge(controller.metrics_url, handle.id) == "1.0"
            mended.set()
            await until(lambda: "temperature" in handle.readings, "a reading")
            await until(lambda: problems() == (), "the end of the problem")
            assert await _gauge(controller.metrics_url, handle.id) == "0.0"
        await controller.wait_for(name_of(device), online=False)
        assert await _gauge(controller.metrics_url, handle.id) == "0.0"


async def _gauge(url: str | None, device: str) -> str:
    assert url is not None
    start = f'iotxmpp_device_problems{{device="{device}"}} '
    (value,) = [line.removeprefix(start) for line in await _lines(url) if line.startswith(start)]
    return value


async def _lines(url: str) -> list[str]:
    def get() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # the controller's own
            return str(answer.read().decode())

    return (await asyncio.to_thread(get)).splitlines()
