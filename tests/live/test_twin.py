"""Twins on both real servers: settings that reach a device, or say why not, whatever is killed meanwhile."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from iotxmpp import Agent, Device, Reading
from iotxmpp.account import Account
from iotxmpp.controller.desk_client import ask_desk
from iotxmpp.errors import ForbiddenError, NotAllowedError
from iotxmpp.twin import Desired
from tests.contract.world import Collected
from tests.live.site import PATIENCE, Site, name_of, until
from tests.live.terminal import Started, Terminal
from tests.servers import server_directory

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY = "every/temperature"


def lit(site: Site, account: Account) -> tuple[Agent, list[int]]:
    """A device with a lamp and a slow sensor, and what the lamp was set to."""
    agent, shone = Agent(account, outbox=site.folder / "outbox.db"), list[int]()

    @agent.sensor("temperature", unit="Cel", every=3600)
    def temperature() -> float:
        return 21.5

    @agent.setting("brightness")
    def brightness(percent: Annotated[int, Field(ge=0, le=100)] = 50) -> None:
        if percent == 13:
            raise ValueError("not on this lamp")
        shone.append(percent)

    return agent, shone


async def synced(device: Device, version: int) -> None:
    """Waits until the device has applied that version."""
    await until(lambda: device.twin.in_sync and device.twin.desired_version == version, f"version {version}")


async def test_settings_reach_a_device_that_is_away_and_one_that_is_there(site: Site) -> None:
    house = await site.account("house")
    account = await site.device("hall", house)
    agent, shone = lit(site, account)
    readings, controller = Collected[Reading](), site.controller(house)

    @controller.on_reading
    async def take(reading: Reading) -> None:
        readings.add(reading)

    async with controller:
        async with agent:
            device = await controller.wait_for(name_of(account), timeout=PATIENCE)
            await until(lambda: device.twin.reported == {"brightness": 50, EVERY: 3600}, "the first report")
        await device.desire(brightness=20)  # it is away
        assert (device.twin.in_sync, shone) == (False, [50])
        async with agent:
            await synced(device, 1)
            assert shone == [50, 50, 20]  # at each start what held before, or the default
            await asyncio.gather(device.desire(brightness=30), device.desire(brightness=40))
            await synced(device, 3)
            assert shone[-1] == device.twin.reported["brightness"] == device.twin.desired["brightness"]
            await refuses(device)
            await hurries(device, readings)
            await obeys_nobody_else(site, device, agent, controller._running()._link.jid)
            assert device.twin.in_sync


async def refuses(device: Device) -> None:
    """What does not fit, what the function refuses, and what there is not, hold nothing up and say why."""
    held = device.twin.reported["brightness"]
    for change, why in (
        ({"brightness": 101}, "less than or equal to 100"),
        ({"brightness": 13}, "ValueError: not on this lamp"),
        ({"colour": 3}, f"no such setting; there is brightness, {EVERY}"),
    ):
        await device.desire_with(change)
        (name,) = change
        await until(lambda name=name, why=why: why in device.twin.refused.get(name, ""), why)  # type: ignore[misc]  # a lambda of this round
        assert device.twin.reported["brightness"] == held
    await device.desire_with({"brightness": held, "colour": None})
    await until(lambda: device.twin.in_sync, "nothing is refused any more")


async def hurries(device: Device, readings: Collected[Reading]) -> None:
    """A sensor's new interval is the rate at which it is read from then on; both ways."""
    before = len(readings.all)
    await device.desire_with({EVERY: 0.1})
    new = (await readings.count(before + 6))[before + 1 :]
    assert 0.3 <= new[4].time - new[0].time <= 2.0  # of the intervals, four
    await device.desire_with({EVERY: 3600})
    await until(lambda: device.twin.in_sync, "slow again")
    slow = time.time()
    await asyncio.sleep(0.8)
    assert [each for each in readings.all if each.time > slow] == []  # some came late, none was read late


async def obeys_nobody_else(site: Site, device: Device, agent: Agent, desk: str) -> None:
    """A stranger changes nothing, neither at the device nor at the desk."""
    assert agent._running is not None
    stranger = await site.link(await site.account("stranger"))
    desired = Desired(lineage="mine", version=2**62, changes={"brightness": 1})
    with pytest.raises(ForbiddenError, match="from its collector alone"):
        await stranger.call(agent._running._link.jid, desired.element())
    for command, given in (("twin", {}), ("desire", {"settings": {"brightness": 1}})):
        with pytest.raises(NotAllowedError):
            await ask_desk(stranger, desk, command, {"device": device.id, **given})


# From the command line, over kill -9.


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


class Twins:
    """`iotxmpp twin` for one device."""

    def __init__(self, terminal: Terminal, device: str) -> None:
        self._terminal = terminal
        self._device = device

    async def settled(self, version: int) -> dict[str, Any]:
        """What is shown once the device, which is there, has acted on that version."""
        async with asyncio.timeout(PATIENCE):
            while True:
                words = ("twin", "get", self._device, "-a", "house.toml", "--json")
                ended = await self._terminal.run(*words)
                shown: dict[str, Any] = json.loads(ended.out or "{}")
                there = (
                    shown.get("state") == "online" and shown["settings"].keys() <= shown["reported"].keys()
                )
                if there and shown["settled"] and shown["desired_version"] == version:
                    return shown

    async def set(self, *settings: str) -> tuple[int | None, str]:
        """The exit code, and all that it said."""
        ended = await self._terminal.run("twin", "set", self._device, *settings, "-a", "house.toml")
        return ended.code, ended.out + ended.err


async def kill(started: Started) -> None:
    """Kills it; the server goes on to show its session until that cannot be resumed any more."""
    assert (await started.end(signal.SIGKILL)).code == -signal.SIGKILL


async def test_twins_from_the_command_line_survive_kill_9_of_both_sides(
    site: Site, terminal: Terminal
) -> None:
    house = await site.account("house")
    account = await site.device("hall", house)
    house.save(terminal.home / "house.toml")
    account.save(terminal.home / "hall.toml")
    config = terminal.home / "agent.toml"
    config.write_text('account = "hall.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\nevery = 60.0\n')
    twins = Twins(terminal, name_of(account))
    controlling = ("controller", "run", "-a", "house.toml", "--metrics-port", "0")
    agent_runs = ("agent", "run", config)
    async with terminal.started(*controlling) as controller, terminal.started(*agent_runs) as agent:
        await controller.says("controlling as", on="err")
        first = await twins.settled(0)
        (every,) = first["settings"]
        assert (first["reported"], first["in_sync"]) == ({every: 60.0}, True)
        code, said = await twins.set(f"{every}=30", "--wait", "10s")
        assert (code, "version 1 is desired, 1 reported: in sync" in said) == (0, True), said
        code, said = await twins.set(f"{every}=0.01", "--wait", "10s")
        assert (code, "greater than or equal to 0.1" in said) == (1, True), said
        await kill(agent)
        code, said = await twins.set(f"{every}=20")
        assert (code, "version 3 is desired, 2 reported: not applied yet" in said) == (0, True), said
        await kill(controller)
    async with terminal.started(*agent_runs) as agent, terminal.started(*controlling) as controller:
        kept = terminal.home / ".local" / "state" / "iotxmpp" / account.jid / "outbox.twin.json"
        await until(
            lambda: json.loads(kept.read_text())["settings"] == {every: 20}, "it is on the device's disk"
        )
        await kill(agent)
        await kill(controller)
    async with terminal.started(*agent_runs), terminal.started(*controlling):
        last = await twins.settled(3)
    assert (last["desired"], last["reported"], last["in_sync"]) == ({every: 20}, {every: 20}, True)
