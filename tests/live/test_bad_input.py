"""Bad input to a system that runs: refused with a clear error, or kept with its reason; good readings go on.

What a device sends wrong is sent here past the agent, which would refuse to.
"""

import asyncio
import itertools
import json
import math
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest
import pytest_asyncio

from iotxmpp import Agent, Controller
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, NodeAddress
from iotxmpp.controller import Code, Rejection
from iotxmpp.controller.calls import call_command
from iotxmpp.errors import (
    CommandError,
    ForbiddenError,
    InvalidError,
    LinkDownError,
    NotAllowedError,
    StanzaError,
)
from iotxmpp.link import Item, Link, LinkState, Presence
from iotxmpp.payloads import JSON_TAG, json_element
from iotxmpp.provisioning import NodePolicy
from iotxmpp.status import TAG as STATUS_TAG
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.stanzas import PUBSUB, PUBSUB_OWNER
from tests.contract.world import Collected
from tests.live.conftest import Administered
from tests.live.site import Site, name_of, nodes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOO_LARGE = 300_000
"""Characters that no server takes in one stanza."""

_numbers = itertools.count(1)


@dataclass(kw_only=True)
class Scene:
    """One device and its controller, for the whole module; the device has another link of its own for what
    its agent would not send."""

    site: Site
    house: Account
    device: Account
    agent: Agent
    raw: XmppLink
    controller: Controller
    values: Collected[float]
    called: list[str] = field(default_factory=list)

    @property
    def name(self) -> DeviceId:
        return name_of(self.device)

    @property
    def readings(self) -> NodeAddress:
        return nodes_of(self.device).readings

    @property
    def own_link(self) -> XmppLink:
        """The agent's."""
        assert self.agent._running is not None
        assert isinstance(self.agent._running._link, XmppLink)
        return self.agent._running._link

    async def a_good_reading_arrives(self) -> None:
        value = float(next(_numbers))
        await self.agent.publish("number", value)
        await self.values.until(lambda came: came == value)

    async def rejected(self, marked: float) -> list[Rejection]:
        """What was rejected since."""
        return await self.controller.rejections(device=self.name, since=marked)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(administered: Administered, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    server, admin = administered
    async with Site(server, tmp_path_factory.mktemp("site"), admin=admin) as site:
        house = await site.account("house")
        device = await site.device("greenhouse", house)
        agent, controller, values = Agent(device), site.controller(house, metrics_port=0), Collected[float]()
        agent.channel("temperature", type="float", unit="Cel", range=(-40, 85))
        agent.channel("number", type="float")
        agent.channel("note", type="str")
        called: list[str] = []

        @agent.command
        async def water() -> None:
            called.append("water")

        @controller.on_reading("number")
        async def take(value: float) -> None:
            values.add(value)

        async with agent, controller:
            await controller.wait_for(name_of(device))
            raw = await site.link(device)
            yield Scene(
                site=site,
                house=house,
                device=device,
                agent=agent,
                raw=raw,
                controller=controller,
                values=values,
                called=called,
            )


def publishing(node: NodeAddress, *payloads: Element, item_id: str, **attributes: str) -> Element:
    """The request that publishes an item, good or bad (XEP-0060 section 7.1)."""
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    publish = SubElement(pubsub, f"{{{PUBSUB}}}publish", {"node": node.node})
    SubElement(publish, f"{{{PUBSUB}}}item", {"id": item_id, **attributes}).extend(payloads)
    return pubsub


def other_element() -> Element:
    element = Element("{urn:example:weather}weather")
    element.text = "fine"
    return element


def nested_element() -> Element:
    element = Element(JSON_TAG)
    SubElement(element, JSON_TAG).text = "[]"
    return element


def pack(name: str, **record: object) -> Callable[[DeviceId], list[Element]]:
    """A pack of one record; `NAME` stands for the device's id."""

    def make(device: DeviceId) -> list[Element]:
        whole = {"n": name.replace("NAME", device), "t": time.time(), **record}
        return [json_element(json.dumps([whole]))]

    return make


def text(json_text: str) -> Callable[[DeviceId], list[Element]]:
    """This text in place of a pack."""
    return lambda _device: [json_element(json_text)]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Something that a device publishes, what it is rejected with, and what the error says."""

    what: str
    payloads: Callable[[DeviceId], list[Element]]
    code: Code
    says: str
    item_id: str = "0123abcd.{number}"


KEPT = [
    Bad(
        what="another element", payloads=lambda _: [other_element()], code="form", says="urn:example:weather"
    ),
    Bad(what="nested", payloads=lambda _: [nested_element()], code="form", says="holds XML elements"),
    Bad(what="empty", payloads=lambda _: [Element(JSON_TAG)], code="form", says="empty"),
    Bad(
        what="an item id", payloads=pack("NAME/number", v=1), code="form", says="item id", item_id="x{number}"
    ),
    Bad(what="half of JSON", payloads=text('[{"n": '), code="senml", says="EOF"),
    Bad(what="no JSON", payloads=text("21.5 degrees"), code="senml", says="SenML pack"),
    Bad(what="no SenML", payloads=text('{"temperature": 21.5}'), code="senml", says="must be an array"),
    Bad(what="no record", payloads=text("[]"), code="senml", says="empty"),
    Bad(what="no value", payloads=pack("NAME/number"), code="senml", says="no value"),
    Bad(
        what="NaN", payloads=pack("NAME/number", v=math.nan), code="senml", says="v: must be a finite number"
    ),
    Bad(what="infinity", payloads=pack("NAME/number", v=math.inf), code="senml", says="finite number"),
    Bad(
        what="a text as v",
        payloads=pack("NAME/number", v="1"),
        code="senml",
        says="v: must be a finite number",
    ),
    Bad(what="another's", payloads=pack("attic/number", v=1), code="identity", says="names another device"),
    Bad(
        what="an unknown unit",
        payloads=pack("NAME/temperature", v=21.5, u="furlong"),
        code="unit",
        says="unit furlong, the device describes Cel",
    ),
    Bad(
        what="a wrong unit",
        payloads=pack("NAME/temperature", v=294.0, u="K"),
        code="unit",
        says="unit K, the device describes Cel",
    ),
    Bad(
        what="no unit",
        payloads=pack("NAME/temperature", v=21.5),
        code="unit",
        says="unit none, the device describes Cel",
    ),
    Bad(
        what="out of range",
        payloads=pack("NAME/temperature", v=85.5, u="Cel"),
        code="range",
        says="channel temperature: 85.5 is not within -40 to 85",
    ),
    Bad(
        what="an unknown channel",
        payloads=pack("NAME/humidity", v=40, u="%RH"),
        code="unknown-channel",
        says="no channel 'humidity'",
    ),
    Bad(
        what="another type",
        payloads=pack("NAME/number", vs="ten"),
        code="type",
        says="the value is str, the device describes float",
    ),
    Bad(
        what="a clock never set",
        payloads=pack("NAME/number", v=1, t=946_684_800.0),
        code="time",
        says="set the device's clock",
    ),
]


@pytest.mark.parametrize("bad", KEPT, ids=lambda bad: bad.what)
async def test_what_a_device_publishes_wrong_is_kept_with_its_reason(scene: Scene, bad: Bad) -> None:
    marked, item_id = time.time(), bad.item_id.format(number=next(_numbers))
    await scene.a_good_reading_arrives()
    request = publishing(scene.readings, *bad.payloads(scene.name), item_id=item_id)
    await scene.raw.call(scene.readings.service, request)
    await scene.a_good_reading_arrives()
    kept = await scene.rejected(marked)
    assert [(each.device, each.node, each.item, each.code) for each in kept] == [
        (scene.name, scene.readings.node, item_id, bad.code)
    ]
    assert bad.says in kept[0].error
    assert "\n" not in kept[0].error
    assert kept[0].publisher == scene.device.jid
    assert marked <= kept[0].time <= time.time()


@pytest.mark.parametrize("count", [0, 2])
async def test_the_server_refuses_an_item_without_one_payload(scene: Scene, count: int) -> None:
    marked = time.time()
    payloads = [payload for _ in range(count) for payload in pack("NAME/number", v=-1)(scene.name)]
    request = publishing(scene.readings, *payloads, item_id="0123abcd.1")
    with pytest.raises(StanzaError, match="bad-request"):
        await scene.raw.call(scene.readings.service, request)
    await scene.a_good_reading_arrives()
    assert await scene.rejected(marked) == []
    assert -1 not in scene.values.all


async def test_the_good_readings_of_a_pack_are_taken_and_the_bad_ones_kept(scene: Scene) -> None:
    marked, value, now = time.time(), float(next(_numbers)), time.time()
    records = [
        {"n": f"{scene.name}/temperature", "v": 99, "u": "Cel", "t": now},
        {"n": f"{scene.name}/number", "v": value, "t": now},
        {"n": f"{scene.name}/temperature", "v": 21, "u": "degC", "t": now},
    ]
    await scene.raw.publish(scene.readings, json_element(json.dumps(records)), item_id="0123abcd.1")
    await scene.values.until(lambda came: came == value)
    kept = await scene.rejected(marked)
    assert [(each.code, json.loads(each.payload)["v"]) for each in kept] == [("range", 99), ("unit", 21)]


async def test_a_wrong_self_description_is_kept_and_the_good_one_stays(scene: Scene) -> None:
    marked, about = time.time(), nodes_of(scene.device).about
    good = scene.controller.device(scene.name).about
    wrong = json.dumps({"device": scene.name, "channels": {"number": {"type": "complex"}}})
    try:
        await scene.raw.publish(about, json_element(wrong), item_id="current")
        await scene.a_good_reading_arrives()
        kept = await scene.rejected(marked)
        assert [(each.node, each.item, each.code) for each in kept] == [(about.node, "current", "about")]
        assert "channels.number.type" in kept[0].error
        assert scene.controller.device(scene.name).about == good
    finally:
        await scene.raw.publish(about, json_element(scene.agent.about.model_dump_json()), item_id="current")


async def test_a_wrong_status_in_presence_is_kept(scene: Scene) -> None:
    marked = time.time()
    scene.raw.admit(lambda jid: jid == scene.house.jid)
    status = Element(STATUS_TAG, {"heartbeat": "soon", "uptime": "1", "version": "0"})
    await scene.raw.announce(Presence(extensions=(status,)))
    try:
        await scene.a_good_reading_arrives()
        kept = await scene.rejected(marked)
        assert [(each.device, each.node, each.code) for each in kept] == [(scene.name, "presence", "status")]
        assert "heartbeat" in kept[0].error
        assert kept[0].publisher == scene.raw.jid
    finally:
        await scene.raw.announce(Presence())


async def test_what_was_rejected_is_listed_and_counted(scene: Scene) -> None:
    for bad in KEPT:
        request = publishing(scene.readings, *bad.payloads(scene.name), item_id=bad.item_id.format(number=1))
        await scene.raw.call(scene.readings.service, request)
    await scene.a_good_reading_arrives()
    kept = await scene.controller.rejections(limit=1000)
    assert {each.code for each in kept} >= {bad.code for bad in KEPT}
    listed = await _listed_by_the_command_line(scene)
    assert [(row["device"], row["node"], row["item"], row["code"], row["error"]) for row in listed] == [
        (each.device, each.node, each.item, each.code, each.error) for each in kept
    ]
    assert scene.controller.metrics_url is not None
    answer = await asyncio.to_thread(urllib.request.urlopen, scene.controller.metrics_url, timeout=5)
    with answer:
        lines = answer.read().decode().splitlines()
    for code in {each.code for each in kept}:
        count = sum(each.code == code for each in kept)
        assert f'iotxmpp_rejected_total{{code="{code}",device="{scene.name}"}} {float(count)}' in lines


async def _listed_by_the_command_line(scene: Scene) -> list[dict[str, Any]]:
    account = scene.site.folder / "house.toml"
    scene.house.save(account)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "iotxmpp", "controller", "rejected", "--json", "--limit", "1000"),
        *("--account", str(account), "--store", scene.site.store, "--device", scene.name),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    return [json.loads(line) for line in out.decode().splitlines()]


# Refused on the device, before anything is sent.


@pytest.mark.parametrize(
    ("channel", "value", "says"),
    [
        ("temperature", math.nan, "not a finite number"),
        ("temperature", 85.5, "out of its range, -40 to 85"),
        ("temperature", "warm", "is str, expected float"),
        ("humidity", 40.0, "channel 'humidity' is not declared"),
        ("note", "a\x00b", "U\\+0000"),
        ("note", "a\x1bb", "U\\+001B"),
        ("note", "x" * TOO_LARGE, "300000 characters"),
    ],
)
async def test_an_agent_refuses_what_it_cannot_send(
    scene: Scene, channel: str, value: float | str, says: str
) -> None:
    states, marked = Collected[LinkState](), time.time()
    cancel = scene.own_link.on_state(states.add)
    with pytest.raises(InvalidError, match=says):
        await scene.agent.publish(channel, value)
    await scene.a_good_reading_arrives()
    cancel()
    assert states.all == []
    assert await scene.rejected(marked) == []


@pytest.mark.parametrize(
    "content", ["x" * TOO_LARGE, "a\x00b", "a\ud800b"], ids=["300 kB", "NUL", "surrogate"]
)
async def test_a_link_refuses_what_it_cannot_send(scene: Scene, content: str) -> None:
    states, marked = Collected[LinkState](), time.time()
    cancel = scene.own_link.on_state(states.add)
    with pytest.raises(InvalidError):
        await scene.own_link.publish(scene.readings, json_element(content), item_id="0123abcd.1")
    await scene.a_good_reading_arrives()
    cancel()
    assert states.all == []
    assert await scene.rejected(marked) == []


async def test_a_pack_of_300_kilobytes_past_our_check_costs_the_stream_and_the_link_is_back(
    scene: Scene,
) -> None:
    states, marked = Collected[LinkState](), time.time()
    cancel = scene.own_link.on_state(states.add)
    request = publishing(scene.readings, json_element("x" * TOO_LARGE), item_id="0123abcd.1")
    with pytest.raises(LinkDownError):
        await scene.own_link._send(scene.readings.service, request, kind="set", timeout=5)
    down = await states.until(lambda state: not state.up)
    assert down.reason
    await states.until(lambda state: state.up)
    await scene.a_good_reading_arrives()
    cancel()
    assert await scene.rejected(marked) == []


# Others than the device.


async def test_a_sender_cannot_forge_the_publisher_of_an_item(scene: Scene) -> None:
    marked, items = time.time(), Collected[Item]()
    reader = await scene.site.link(scene.house)
    await reader.subscribe(scene.readings, items)
    other, value = await scene.site.account("other"), float(next(_numbers))
    forged = publishing(
        scene.readings,
        *pack("NAME/number", v=value)(scene.name),
        item_id="f0f0f0f0.1",  # of no other test: what is stored already reaches no handler
        publisher=f"{other.jid}/forged",
    )
    await scene.raw.call(scene.readings.service, forged)
    await scene.values.until(lambda came: came == value)
    item = await items.until(lambda item: item.id == "f0f0f0f0.1")
    assert item.publisher == scene.device.jid
    assert await scene.rejected(marked) == []


async def test_what_another_publishes_to_a_devices_node_is_rejected_as_forged(scene: Scene) -> None:
    marked = time.time()
    admin = await scene.site.link(scene.site.server.admin)  # the owner of the node may publish there
    for bare, number in ((scene.device.jid, 1), (scene.site.server.admin.jid, 2)):
        forged = publishing(
            scene.readings,
            *pack("NAME/number", v=-1)(scene.name),
            item_id=f"0123abcd.{number}",
            publisher=f"{bare}/forged",
        )
        await admin.call(scene.readings.service, forged)
    await scene.a_good_reading_arrives()
    kept = await scene.rejected(marked)
    assert [(each.item, each.code) for each in kept] == [
        ("0123abcd.1", "forged-publisher"),
        ("0123abcd.2", "forged-publisher"),
    ]
    assert {each.publisher for each in kept} == {scene.site.server.admin.jid}
    assert -1 not in scene.values.all


async def test_a_device_cannot_publish_to_another_devices_nodes(scene: Scene) -> None:
    marked, neighbour = time.time(), await scene.site.device("neighbour", scene.house)
    link = await scene.site.link(neighbour)
    about = scene.controller.device(scene.name).about
    for node in (scene.readings, nodes_of(scene.device).about, nodes_of(scene.device).state):
        for name in (scene.name, name_of(neighbour)):
            with pytest.raises(ForbiddenError):
                await link.publish(node, *pack("NAME/number", v=-1)(name), item_id="0123abcd.1")
    await scene.a_good_reading_arrives()
    assert -1 not in scene.values.all
    assert await scene.rejected(marked) == []
    assert scene.controller.device(scene.name).about == about


def owner_request(action: str, node: NodeAddress) -> Element:
    """A request of a node's owner (XEP-0060 section 8)."""
    pubsub = Element(f"{{{PUBSUB_OWNER}}}pubsub")
    SubElement(pubsub, f"{{{PUBSUB_OWNER}}}{action}", {"node": node.node})
    return pubsub


async def test_a_stranger_reads_writes_and_changes_nothing(scene: Scene) -> None:
    marked, items = time.time(), Collected[Item]()
    stranger = await scene.site.link(await scene.site.account("stranger"))
    nodes = nodes_of(scene.device)
    for node in (nodes.readings, nodes.about, nodes.state):
        with pytest.raises(ForbiddenError):
            await stranger.subscribe(node, items)
        with pytest.raises(ForbiddenError):
            await stranger.items(node)
        with pytest.raises(ForbiddenError):
            await stranger.publish(node, *pack("NAME/number", v=-1)(scene.name), item_id="0123abcd.1")
        for action in ("configure", "affiliations"):
            with pytest.raises(ForbiddenError):
                await stranger.call(node.service, owner_request(action, node), kind="get")
        with pytest.raises(ForbiddenError):
            await stranger.call(node.service, owner_request("delete", node))
    assert await stranger.nodes(nodes.readings.service) == []
    await scene.a_good_reading_arrives()
    assert items.all == []
    assert -1 not in scene.values.all
    assert await scene.rejected(marked) == []


@pytest.mark.parametrize("who", ["a device", "a stranger"])
async def test_only_the_administrator_creates_nodes_and_accounts(scene: Scene, who: str) -> None:
    account = scene.device if who == "a device" else await scene.site.account("stranger")
    link = await scene.site.link(account)
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    SubElement(pubsub, f"{{{PUBSUB}}}create", {"node": "iot/mine/readings"})
    with pytest.raises(ForbiddenError):
        await link.call(scene.readings.service, pubsub)
    assert "mine" not in str(await scene.site.provisioner.nodes(scene.readings.service))
    with pytest.raises(StanzaError):
        await link.call(
            scene.site.server.domain,
            Element(
                "{http://jabber.org/protocol/commands}command",
                {"node": "http://jabber.org/protocol/admin#add-user", "action": "execute"},
            ),
        )


async def test_a_stranger_does_not_see_a_devices_presence(scene: Scene) -> None:
    seen = Collected[Presence]()
    stranger = await scene.site.link(await scene.site.account("stranger"))
    stranger.on_presence(seen)
    await stranger.follow(scene.device.jid)
    await _everything_so_far_arrived(scene, scene.own_link, stranger)
    assert [each for each in seen.all if each.sender.startswith(scene.device.jid)] == []


async def _everything_so_far_arrived(scene: Scene, sender: Link, receiver: XmppLink) -> None:
    """An item that the sender publishes after all else has come to the receiver."""
    node, items = (
        NodeAddress(service=scene.readings.service, node=f"test/{time.time_ns()}"),
        Collected[Item](),
    )
    reader = receiver.jid.partition("/")[0]
    await scene.site.provisioner.create_node(node, NodePolicy(publisher=scene.device.jid, readers=(reader,)))
    await receiver.subscribe(node, items)
    await sender.publish(node, other_element(), item_id="1")
    await items.count(1)
    await scene.site.provisioner.delete_node(node)


async def _refusals(scene: Scene, links: Sequence[Link], command: str) -> list[CommandError]:
    caught = []
    for link in links:
        with pytest.raises(CommandError) as error:
            await call_command(link, scene.own_link.jid, command, {}, timeout=5)
        caught.append(error.value)
    return caught


async def test_a_command_of_a_stranger_is_refused_and_not_started(scene: Scene) -> None:
    stranger = await scene.site.link(await scene.site.account("stranger"))
    neighbour = await scene.site.link(await scene.site.device("neighbour", scene.house))
    admin = await scene.site.link(scene.site.server.admin)
    callers = [stranger, neighbour, admin]
    refusals = [
        *await _refusals(scene, callers, "water"),
        *await _refusals(scene, callers, "no-such-command"),
    ]
    assert {type(each) for each in refusals} == {NotAllowedError}
    assert {str(each) for each in refusals} == {
        "this device does not obey you; its operator can add you as controller"
    }
    assert scene.called == []
    await scene.controller.device(scene.name).call("water")
    assert scene.called == ["water"]
    scene.called.clear()
