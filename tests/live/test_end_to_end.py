"""Device, PubSub, controller, command: the whole of it, on Prosody and on ejabberd."""

import asyncio
import base64
import hashlib
import itertools
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

import pytest
import pytest_asyncio
from pydantic import BaseModel
from slixmpp import JID, ClientXMPP

from iotxmpp import Agent, Controller, Device, Reading, __version__
from iotxmpp.about import About, Channel
from iotxmpp.account import Account
from iotxmpp.commands import CALL_NAMESPACE, COMMANDS_NAMESPACE
from iotxmpp.controller.calls import call_command
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    DeviceAwayError,
    NotAllowedError,
    UnknownCommandError,
    UnknownDeviceError,
)
from iotxmpp.link import LinkState, Presence
from iotxmpp.payloads import json_element
from iotxmpp.status import NAMESPACE as STATUS_NAMESPACE
from iotxmpp.xmpp import XmppLink
from tests.contract.world import Collected
from tests.live.site import PATIENCE, Site, name_of, nodes_of, until
from tests.unit.controller_world import temperature

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = 1.0
"""Seconds; far below a command's timeout."""

CAPS = "{http://jabber.org/protocol/caps}c"
DISCO_INFO = "http://jabber.org/protocol/disco#info"


class Climate(BaseModel):
    temperature: float
    humidity: int


@dataclass(kw_only=True)
class House:
    """A controller and one device, both connected; what the controller was given."""

    site: Site
    account: Account
    device: Account
    agent: Agent
    controller: Controller
    readings: Collected[Reading]
    presences: Collected[tuple[str, str]]

    @property
    def handle(self) -> Device:
        return self.controller.device(name_of(self.device))

    @property
    def counts(self) -> list[object]:
        """The values of `count` that arrived, in order."""
        return [reading.value for reading in self.readings.all if reading.channel == "count"]


def greenhouse(account: Account, **more: Any) -> Agent:  # noqa: ANN401  # an agent's own arguments
    """A device whose readings the test makes, and whose commands do what their names say."""
    agent = Agent(account, **more)
    agent.channel("temperature", type="float", unit="Cel", range=(-40, 85), description="under the roof")
    agent.channel("count", type="int")

    @agent.command
    async def water(seconds: int = 10) -> str:
        """Opens the valve."""
        return f"watered for {seconds} s"

    @agent.command
    def add(left: float, right: float) -> dict[str, float]:
        return {"sum": left + right}

    @agent.command
    def jam() -> None:
        raise RuntimeError("the valve is stuck")

    return agent


@asynccontextmanager
async def living(site: Site, **more: Any) -> AsyncIterator[House]:  # noqa: ANN401  # a controller's own
    """A house whose device is online."""
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, controller = greenhouse(device, heartbeat=20.0), site.controller(account, **more)
    readings, presences = Collected[Reading](), Collected[tuple[str, str]]()

    @controller.on_reading
    async def take_reading(reading: Reading) -> None:
        readings.add(reading)

    @controller.on_presence
    async def take_presence(device: Device, presence: Presence) -> None:
        presences.add((device.state, presence.text))

    async with agent, controller:
        await controller.wait_for(name_of(device))
        yield House(
            site=site,
            account=account,
            device=device,
            agent=agent,
            controller=controller,
            readings=readings,
            presences=presences,
        )


@pytest_asyncio.fixture(loop_scope="module")
async def house(site: Site) -> AsyncIterator[House]:
    async with living(site) as house:
        yield house


def link_of(agent: Agent) -> XmppLink:
    """The link that a running agent opened by itself."""
    assert agent._running is not None
    link = agent._running._link
    assert isinstance(link, XmppLink)
    return link


async def take_at_once(work: Awaitable[object]) -> None:
    async with asyncio.timeout(AT_ONCE):
        await work


# Readings.


async def test_readings_arrive_as_readings_as_floats_and_as_models(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, controller = Agent(device), site.controller(account)
    readings, floats, models = Collected[Reading](), Collected[float](), Collected[Climate]()
    devices, numbers, loop = Collected[str](), itertools.count(1), asyncio.get_running_loop()

    @agent.sensor({"temperature": "Cel", "humidity": "%RH"}, every=0.05)
    def climate() -> tuple[float, int]:
        number = next(numbers)
        return 20 + number / 8, number

    @controller.on_reading
    async def take_reading(reading: Reading, device: Device) -> None:
        readings.add(reading)
        devices.add(device.id)

    @controller.on_reading("temperature")
    def take_float(value: float) -> None:
        loop.call_soon_threadsafe(floats.add, value)

    @controller.on_reading
    async def take_model(climate: Climate) -> None:
        models.add(climate)

    started = time.time()
    async with controller, agent:
        seen = (await readings.count(10))[:10]
        values = (await floats.count(5))[:5]
        samples = (await models.count(5))[:5]
    counted = [each.humidity for each in samples]
    assert counted == sorted(set(counted))
    assert [each.temperature for each in samples] == [20 + number / 8 for number in counted]
    assert values == [each.temperature for each in samples]
    assert [each.channel for each in seen] == ["temperature", "humidity"] * 5
    assert [each.unit for each in seen] == ["Cel", "%RH"] * 5
    assert [each.value for each in seen[0::2]] == values
    assert [each.value for each in seen[1::2]] == counted
    assert [each.seq for each in seen] == list(range(1, 11))
    assert len({each.epoch for each in seen}) == 1
    assert all(started - 1 <= each.time <= time.time() + 1 for each in seen)
    assert set(devices.all) == {name_of(device)}


async def test_values_of_every_type_arrive_as_they_are(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, controller, readings = Agent(device), site.controller(account), Collected[Reading]()
    agent.channel("door/1", type="bool")
    agent.channel("note", type="str")
    agent.channel("total", type="int")
    agent.channel("level", type="float")
    given: list[tuple[str, Any]] = [
        ("door/1", True),
        ("note", '"quotes" & <tags>, äöü, 🌱\nand a line'),
        ("total", 2**62),
        ("level", -0.1),
        ("door/1", False),
        ("note", ""),
    ]

    @controller.on_reading
    async def take(reading: Reading) -> None:
        readings.add(reading)

    async with controller, agent:
        await controller.wait_for(name_of(device))
        for channel, value in given:
            await agent.publish(channel, value)
        await readings.count(len(given))
        assert await controller.rejections() == []
    assert [(each.channel, each.value) for each in readings.all] == given
    assert [type(each.value) for each in readings.all] == [type(value) for _, value in given]


async def test_a_reading_keeps_the_time_that_the_device_gave_it(house: House) -> None:
    await house.agent.publish("count", 7, time=1_700_000_000.25)
    assert (await house.readings.count(1))[0].time == 1_700_000_000.25


async def test_readings_from_another_thread_arrive(house: House) -> None:
    await asyncio.to_thread(house.agent.publish_soon, "count", 1)
    assert (await house.readings.count(1))[0].value == 1


async def test_a_device_that_is_added_while_the_controller_runs_is_found(site: Site) -> None:
    account = await site.account("house")
    controller, readings = site.controller(account), Collected[tuple[str, Reading]]()

    @controller.on_reading
    async def take(reading: Reading, device: Device) -> None:
        readings.add((device.id, reading))

    async with controller:
        assert dict(controller.devices) == {}
        device = await site.device("late", account)
        async with greenhouse(device) as agent:
            found = await controller.wait_for(name_of(device), timeout=PATIENCE)
            await agent.publish("count", 1)
            name, reading = (await readings.count(1))[0]
            assert (name, reading.value) == (found.id, 1)
            assert await found.call("water") == "watered for 10 s"


async def test_a_device_that_publishes_as_soon_as_it_is_added_loses_nothing(site: Site) -> None:
    account = await site.account("house")
    controller, seen = site.controller(account, discover_every=3600), Collected[int]()

    @controller.on_reading
    async def take(reading: Reading) -> None:
        assert reading.seq is not None
        seen.add(reading.seq)

    async with controller:
        device = await site.device("late", account)
        nodes, name = nodes_of(device), name_of(device)
        about = About(device=name, channels={"temperature": Channel(type="float", unit="Cel", range=(0, 50))})
        link = await site.link(device)
        await link.publish(nodes.about, json_element(about.model_dump_json()), item_id="current")
        sent = 0

        async def publish(count: int) -> None:
            nonlocal sent
            for _ in range(count):
                sent += 1
                pack = temperature(name, 20 if sent % 2 else 200)
                await link.publish(nodes.readings, pack, item_id=f"e.{sent}")

        await publish(20)
        async with asyncio.timeout(PATIENCE):
            while name not in controller.devices:
                await publish(1)
                await asyncio.sleep(0.02)
        await publish(20 + (sent + 1) % 2)  # the last is a good one
        await seen.until(lambda number: number == sent)
        rejections = await controller.rejections(limit=1000)
    assert seen.all == list(range(1, sent + 1, 2))
    assert [each.item for each in rejections] == [f"e.{number}" for number in range(2, sent + 1, 2)]
    assert {each.code for each in rejections} == {"range"}


async def test_a_controller_sees_no_device_of_another(site: Site) -> None:
    ours, theirs = await site.account("ours"), await site.account("theirs")
    device = await site.device("greenhouse", theirs)
    async with greenhouse(device), site.controller(theirs) as other, site.controller(ours) as controller:
        await other.wait_for(name_of(device))
        assert dict(controller.devices) == {}
        with pytest.raises(UnknownDeviceError, match=name_of(device)):
            controller.device(name_of(device))


async def test_two_controllers_get_the_same_readings(site: Site) -> None:
    first, second = await site.account("first"), await site.account("second")
    device = await site.device("greenhouse", first, second)
    both = site.controller(first), site.controller(second, store="sqlite://")
    heard = Collected[float](), Collected[float]()

    async def take(readings: Collected[float], value: float) -> None:
        readings.add(value)

    for controller, readings in zip(both, heard, strict=True):
        controller.on_reading("temperature")(partial(take, readings))
    async with both[0], both[1], greenhouse(device) as agent:
        for controller in both:
            assert await (await controller.wait_for(name_of(device))).call("water", seconds=1)
        await agent.publish("temperature", 20.5)
        assert [await each.count(1) for each in heard] == [[20.5], [20.5]]


# Presence and self-description.


async def test_presence_tells_how_the_device_is(house: House) -> None:
    status = house.handle.status
    assert house.handle.online
    assert status is not None
    assert (status.why, status.heartbeat, status.version) == ("start", 20.0, __version__)
    assert 0 <= status.uptime < PATIENCE
    assert (status.buffered, status.dropped, status.problems) == (0, 0, ())
    assert house.presences.all == [("online", "online, 2 sensors")]
    assert house.handle.presence is not None
    assert house.handle.presence.sender == link_of(house.agent).jid


async def test_heartbeats_come(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    async with greenhouse(device, heartbeat=0.3), site.controller(account) as controller:
        handle = await controller.wait_for(name_of(device))
        await until(lambda: handle.status is not None and handle.status.why == "heartbeat", "a heartbeat")
        assert handle.status is not None
        assert handle.status.heartbeat == 0.3
        assert handle.silence is not None
        assert handle.silence < 1


async def test_a_sensor_that_fails_shows_in_presence_until_it_works(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, works = Agent(device, heartbeat=2.0), asyncio.Event()

    @agent.sensor("temperature", unit="Cel", every=0.05)
    def temperature() -> float:
        if not works.is_set():
            raise OSError("no answer from 0x76")
        return 21.5

    def problems() -> tuple[str, ...]:
        return () if handle.status is None else handle.status.problems

    async with agent, site.controller(account) as controller:
        handle = await controller.wait_for(name_of(device))
        await until(lambda: problems() != (), "the problem")
        assert problems() == ("temperature: OSError: no answer from 0x76",)
        works.set()
        await until(lambda: problems() == (), "the end of the problem")
        await until(lambda: "temperature" in handle.readings, "a reading")


async def test_the_self_description_is_there(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent = greenhouse(device, heartbeat=12.5, profile="bme280", site="behind the house")
    async with agent, site.controller(account) as controller:
        about = (await controller.wait_for(name_of(device))).about
    assert about is not None
    assert about == agent.about
    assert (about.device, about.version, about.heartbeat) == (name_of(device), __version__, 12.5)
    assert about.profile == "bme280 1.0.0"
    assert about.site == "behind the house"
    assert about.channels["temperature"] == Channel(
        type="float", unit="Cel", range=(-40, 85), description="under the roof"
    )
    assert about.channels["pressure"].unit == "hPa"
    assert set(about.commands) == {"water", "add", "jam"}
    water = about.commands["water"]
    assert water.description == "Opens the valve."
    assert water.arguments["properties"]["seconds"]["type"] == "integer"
    assert about.commands["add"].arguments["required"] == ["left", "right"]


async def test_a_new_self_description_replaces_the_old_one(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    async with site.controller(account) as controller:
        async with greenhouse(device):
            handle = await controller.wait_for(name_of(device))
            await until(lambda: handle.about is not None, "the first description")
        second = Agent(device)
        second.channel("voltage", type="float", unit="V")
        async with second:
            await until(lambda: handle.about == second.about, "the second description")


async def test_a_device_that_stops_is_offline(house: House) -> None:
    await house.agent.__aexit__(None, None, None)
    await house.controller.wait_for(house.handle.id, online=False, timeout=PATIENCE)
    assert house.handle.state == "offline"
    assert await house.presences.until(lambda seen: seen[0] == "offline")
    assert house.presences.all == [("online", "online, 2 sensors"), ("offline", "stopped, 2 sensors")]
    await house.agent.__aenter__()
    await house.controller.wait_for(house.handle.id, timeout=PATIENCE)
    assert (await house.presences.count(3))[2] == ("online", "online, 2 sensors")


class Raw:
    """A session by slixmpp as it comes: what it is sent is seen as it is."""

    def __init__(self, client: ClientXMPP) -> None:
        self.client = client
        self.presences: Collected[Element] = Collected()
        client.add_event_handler("presence", lambda stanza: self.presences.add(stanza.xml))

    async def info(self, jid: str, node: str) -> Element:
        """The answer to a question of XEP-0030."""
        disco = self.client.plugin["xep_0030"]
        answer = await disco.get_info(jid=JID(jid), node=node, cached=False, timeout=5)
        query: Element = answer.xml[0]
        return query


@asynccontextmanager
async def raw_session(account: Account) -> AsyncIterator[Raw]:
    client = ClientXMPP(account.jid, account.password.get_secret_value())
    client.ca_certs = account.ca
    client.enable_direct_tls = False
    client.register_plugin("xep_0030")
    raw, up = Raw(client), asyncio.Event()
    client.add_event_handler("session_start", lambda _: up.set())
    try:
        client.connect(account.host, account.port)
        async with asyncio.timeout(PATIENCE):
            await up.wait()
        yield raw
    finally:
        client.cancel_connection_attempt()
        await client.disconnect(wait=1)


def caps_hash(info: Element) -> str:
    """XEP-0115 section 5.1, for identities and features alone."""
    identities = sorted(
        f"{each.get('category')}/{each.get('type')}//{each.get('name', '')}<"
        for each in info.findall(f"{{{DISCO_INFO}}}identity")
    )
    features = sorted(f"{each.get('var')}<" for each in info.findall(f"{{{DISCO_INFO}}}feature"))
    digest = hashlib.sha1("".join([*identities, *features]).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


async def test_presence_carries_capabilities_that_hold(site: Site) -> None:
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    async with raw_session(account) as raw, greenhouse(device) as agent:
        raw.client.send_presence()
        raw.client.send_presence(pto=device.jid, ptype="subscribe")
        jid = link_of(agent).jid
        presence = await raw.presences.until(lambda xml: xml.get("from") == jid and xml.get("type") is None)
        caps = presence.find(CAPS)
        assert caps is not None
        assert caps.get("hash") == "sha-1"
        assert caps.get("node") == "urn:iotxmpp:caps"
        info = await raw.info(jid, f"{caps.get('node')}#{caps.get('ver')}")
    assert caps_hash(info) == caps.get("ver")
    features = {each.get("var") for each in info.findall(f"{{{DISCO_INFO}}}feature")}
    assert {COMMANDS_NAMESPACE, CALL_NAMESPACE, STATUS_NAMESPACE} <= features


# Commands.


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


# Cuts.


async def cut(house: House) -> None:
    """Severs the agent's connection; the session goes on when it is back (XEP-0198)."""
    client = link_of(house.agent)._client
    assert client is not None
    assert client.transport is not None
    client.transport.abort()


async def renew(house: House) -> None:
    """Ends the agent's session at the server; a new one comes."""
    await house.site.end_session(link_of(house.agent).jid)


@pytest.mark.parametrize(("sever", "resumed"), [(cut, True), (renew, False)], ids=["cut", "new session"])
async def test_readings_made_while_the_link_is_down_arrive_in_order(
    house: House, sever: Callable[[House], Awaitable[None]], resumed: bool
) -> None:
    link, states = link_of(house.agent), Collected[LinkState]()
    link.on_state(states.add)
    await house.agent.publish("count", 1)
    await until(lambda: house.agent.status.buffered == 0, "the first reading is settled")
    await sever(house)
    await states.until(lambda state: not state.up)
    assert not link.state.up
    for number in range(2, 52):
        house.agent.publish_soon("count", number)
    await asyncio.sleep(0)
    assert house.agent.status.buffered >= 50
    up = await states.until(lambda state: state.up)
    assert up.resumed is resumed
    await until(lambda: 51 in house.counts, "the last reading")
    assert house.counts == list(range(1, 52))
    await until(lambda: house.handle.online, "the device is online again")
    assert await house.handle.call("water", seconds=1) == "watered for 1 s"
    assert await house.controller.rejections() == []


async def test_no_reading_is_lost_and_none_overtakes_another_where_the_link_is_cut_again_and_again(
    house: House,
) -> None:
    link, last = link_of(house.agent), 120
    link._backoff.first = 0.05
    for number in range(1, last + 1):
        await house.agent.publish("count", number)
        if number % 40 == 20:
            await cut(house)
        await asyncio.sleep(0.005)
    await until(lambda: last in house.counts, "the last reading")
    # A pack whose fate was unknown goes out again: its readings may come twice, never in disorder.
    firsts = list(dict.fromkeys(house.counts))
    assert firsts == list(range(1, last + 1))
    assert await house.controller.rejections() == []


async def test_the_controllers_own_link_is_cut(house: House) -> None:
    session = house.controller._session
    assert session is not None
    link, states = session._link, Collected[LinkState]()
    assert isinstance(link, XmppLink)
    link.on_state(states.add)
    assert link._client is not None
    assert link._client.transport is not None
    link._client.transport.abort()
    await states.until(lambda state: not state.up)
    assert house.handle.state == "unknown"
    with pytest.raises(Exception, match="was not sent") as caught:
        await take_at_once(house.handle.call("water"))
    assert not isinstance(caught.value, CommandError)
    await house.agent.publish("count", 1)
    await states.until(lambda state: state.up)
    assert (await house.readings.count(1))[0].value == 1
    await house.controller.wait_for(house.handle.id, timeout=PATIENCE)
    assert await house.handle.call("water") == "watered for 10 s"


# Without code, and from outside.


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
