"""Presence and self-description of a device, on Prosody and on ejabberd."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from xml.etree.ElementTree import Element

import pytest
from slixmpp import JID, ClientXMPP

from iotxmpp import Agent, __version__
from iotxmpp.about import Channel
from iotxmpp.account import Account
from iotxmpp.commands import CALL_NAMESPACE, COMMANDS_NAMESPACE
from iotxmpp.status import NAMESPACE as STATUS_NAMESPACE
from tests.contract.world import Collected
from tests.live.bare_client import bare_client
from tests.live.greenhouse import House, greenhouse, link_of
from tests.live.site import PATIENCE, Site, name_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CAPS = "{http://jabber.org/protocol/caps}c"
DISCO_INFO = "http://jabber.org/protocol/disco#info"


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
    async with bare_client(account, "xep_0030") as client:
        yield Raw(client)


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
