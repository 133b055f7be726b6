"""The whole of it without code, and as seen from outside, on Prosody and on ejabberd."""

import asyncio
import sys
import urllib.request

import pytest

from iotxmpp import Reading
from iotxmpp.errors import ArgumentsError, CommandFailedError, UnknownCommandError
from tests.contract.world import Collected
from tests.live.greenhouse import living
from tests.live.site import PATIENCE, Site, name_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_agent_without_code_in_a_process_of_its_own(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("relays", account)
    device.save(site.folder / "device.toml")
    (site.folder / "agent.toml").write_text(
        'account = "device.toml"\nprofile = "relay4"\ndriver.kind = "simulated"\n'
        'every = 0.1\nheartbeat = 5.0\nsite = "shed"\n'
        '[rename]\n"relay/1" = "pump"\n'
    )
    controller, readings = site.controller(account), Collected[Reading]()

    @controller.on_reading("pump")
    async def take(reading: Reading) -> None:
        readings.add(reading)

    async with controller:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "iotxmpp", "agent", "run", str(site.folder / "agent.toml")),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            handle = await controller.wait_for(name_of(device), timeout=PATIENCE)
            assert (await readings.count(1))[0].value is False
            assert handle.about is not None
            assert (handle.about.profile, handle.about.site) == ("relay4 1.0.0", "shed")
            assert set(handle.about.channels) == {"pump", "relay/2", "relay/3", "relay/4"}
            await handle.call("switch", channel=2, on=True)
            await until(
                lambda: "relay/2" in handle.readings and handle.readings["relay/2"].value is True,
                "the reading of the relay that was switched",
            )
            with pytest.raises(ArgumentsError, match="channel"):
                await handle.call("switch", channel=9, on=True)
        finally:
            process.terminate()
            _, complaints = await process.communicate()
        await controller.wait_for(name_of(device), online=False, timeout=PATIENCE)
        assert await controller.rejections() == []
    assert process.returncode == 0
    assert b"Traceback" not in complaints


async def test_metrics_over_http(site: Site) -> None:
    async with living(site, metrics_port=0) as house:
        name = house.handle.id
        await house.agent.publish("temperature", 21.5)
        await house.agent.publish("count", 3)
        await house.readings.count(2)
        await house.handle.call("water")
        with pytest.raises(CommandFailedError):
            await house.handle.call("jam")
        with pytest.raises(UnknownCommandError):
            await house.handle.call("fly")
        url = house.controller.metrics_url
        assert url is not None
        assert url.startswith("http://127.0.0.1:")
        lines = await asyncio.to_thread(_fetched, url)
    expected = [
        "iotxmpp_link_up 1.0",
        "iotxmpp_devices 1.0",
        f'iotxmpp_device_online{{device="{name}"}} 1.0',
        f'iotxmpp_readings_total{{device="{name}"}} 2.0',
        f'iotxmpp_reading_value{{channel="temperature",device="{name}",unit="Cel"}} 21.5',
        f'iotxmpp_reading_value{{channel="count",device="{name}",unit=""}} 3.0',
        "iotxmpp_reading_delay_seconds_count 2.0",
        'iotxmpp_command_seconds_count{command="water",outcome="ok"} 1.0',
        'iotxmpp_command_seconds_count{command="jam",outcome="failed"} 1.0',
        'iotxmpp_command_seconds_count{command="unknown",outcome="unknown-command"} 1.0',
    ]
    assert [line for line in expected if line not in lines] == []


def _fetched(url: str) -> list[str]:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # the controller's own
        assert answer.headers["Content-Type"].startswith("text/plain")
        text: str = answer.read().decode()
    return text.splitlines()
