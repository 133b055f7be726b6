"""What others than a device do in its place is refused, or kept as forged."""

import time
from collections.abc import AsyncIterator, Sequence
from xml.etree.ElementTree import Element, SubElement

import pytest
import pytest_asyncio

from iotxmpp.addresses import NodeAddress
from iotxmpp.controller.calls import call_command
from iotxmpp.errors import CommandError, ForbiddenError, NotAllowedError, StanzaError
from iotxmpp.link import Item, Link, Presence
from iotxmpp.provisioning import NodePolicy
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.stanzas import PUBSUB, PUBSUB_OWNER
from tests.contract.world import Collected
from tests.live.bad_scene import Scene, fresh_numbers, open_scene, other_element, pack, publishing
from tests.live.conftest import Administered
from tests.live.site import name_of, nodes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(administered: Administered, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with open_scene(administered, tmp_path_factory.mktemp("site")) as scene:
        yield scene


async def test_a_sender_cannot_forge_the_publisher_of_an_item(scene: Scene) -> None:
    marked, items = time.time(), Collected[Item]()
    reader = await scene.site.link(scene.house)
    await reader.subscribe(scene.readings, items)
    other, value = await scene.site.account("other"), float(next(fresh_numbers))
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
