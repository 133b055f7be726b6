"""PubSub: publish, subscribe, items, nodes."""

import asyncio
import logging

import pytest

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import ForbiddenError
from iotxmpp.link import Item
from tests.contract.world import (
    NO_SUCH_NODE,
    ON_ONE_LOOP,
    PATIENCE,
    Collected,
    World,
    payload,
    policy,
    severed,
    text_of,
)

pytestmark = ON_ONE_LOOP


async def test_a_published_item_reaches_the_subscriber_whole(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    sent = payload('quotes " and <, & and ü', colour="grün & <rot>")
    sent.append(payload("inner"))
    await device.publish(node, sent, item_id="first")
    item = (await got.count(1))[0]
    assert (item.node, item.id, item.problem) == (node, "first", "")
    assert item.payload is not None
    assert (item.payload.tag, item.payload.text) == (sent.tag, sent.text)
    assert item.payload.attrib == {"colour": "grün & <rot>"}
    assert [text_of(child) for child in item.payload] == ["inner"]


async def test_the_publisher_is_true_or_unknown_and_never_forged(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    forged = payload(publisher=bare_jid(reader.jid), jid=bare_jid(reader.jid))
    await device.publish(node, forged, item_id="1")
    item = (await got.count(1))[0]
    kept = (await reader.items(node))[0]
    for publisher in (item.publisher, kept.publisher):
        assert publisher in (None, bare_jid(device.jid))


async def test_a_payload_is_the_receivers_own(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    sent = payload("as published")
    await device.publish(node, sent, item_id="1")
    sent.text = "changed by the publisher"
    received = (await got.count(1))[0].payload
    assert text_of(received) == "as published"
    assert received is not None
    received.text = "changed by the subscriber"
    assert text_of((await reader.items(node))[0].payload) == "as published"


async def test_200_items_arrive_in_their_order(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    ids = [f"item-{number}" for number in range(200)]
    await asyncio.gather(*(device.publish(node, payload(item_id), item_id=item_id) for item_id in ids))
    assert [item.id for item in await got.count(200)] == ids


async def test_only_the_publisher_publishes(world: World) -> None:
    device, reader, stranger = [await world.join(name) for name in ("device", "reader", "stranger")]
    node = await world.node(device, [reader])
    for other in (reader, stranger):
        with pytest.raises(ForbiddenError):
            await other.publish(node, payload(), item_id="1")
    assert await device.items(node) == []


async def test_publishing_to_a_missing_node_is_refused(world: World) -> None:
    device = await world.join("device")
    with pytest.raises(NO_SUCH_NODE):
        await device.publish(world.missing_node(), payload(), item_id="1")


async def test_subscribing_to_a_missing_node_is_refused(world: World) -> None:
    reader = await world.join("reader")
    with pytest.raises(NO_SUCH_NODE):
        await reader.subscribe(world.missing_node(), Collected[Item]())


async def test_fetching_items_of_a_missing_node_is_refused(world: World) -> None:
    reader = await world.join("reader")
    with pytest.raises(NO_SUCH_NODE):
        await reader.items(world.missing_node())


async def test_who_is_no_reader_cannot_subscribe(world: World) -> None:
    device, stranger = await world.join("device"), await world.join("stranger")
    node = await world.node(device)
    with pytest.raises(ForbiddenError):
        await stranger.subscribe(node, Collected[Item]())


async def test_who_is_no_reader_cannot_fetch_items(world: World) -> None:
    device, stranger = await world.join("device"), await world.join("stranger")
    node = await world.node(device)
    await device.publish(node, payload("secret"), item_id="1")
    with pytest.raises(ForbiddenError):
        await stranger.items(node)


async def test_every_link_of_the_account_is_notified(world: World) -> None:
    device = await world.join("device")
    account = await world.backend.account("reader")
    first, second = await world.enter(account), await world.enter(account)
    node = await world.node(device, [first])
    at_first, at_second = Collected[Item](), Collected[Item]()
    await first.subscribe(node, at_first)
    await second.subscribe(node, at_second)
    await device.publish(node, payload(), item_id="1")
    assert [item.id for item in await at_first.count(1)] == ["1"]
    assert [item.id for item in await at_second.count(1)] == ["1"]


async def test_a_subscription_outlives_the_session(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    await severed(world.backend.renew, reader)
    await device.publish(node, payload(), item_id="after")
    await got.until(lambda item: item.id == "after")


async def test_a_subscription_goes_on_after_a_cut(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    await severed(world.backend.cut, reader)
    await device.publish(node, payload(), item_id="after")
    await got.until(lambda item: item.id == "after")


async def test_a_new_session_asks_again_for_a_subscription_that_the_server_lost(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device)
    got: Collected[Item] = Collected()
    await device.subscribe(node, got)
    await world.recreate(node, device)  # the provisioner subscribes readers, not the publisher
    await device.publish(node, payload(), item_id="lost")
    await severed(world.backend.renew, device)
    async with asyncio.timeout(PATIENCE):
        number = 0
        while not got.all:  # it asks in the background once it is up
            number += 1
            await device.publish(node, payload(), item_id=str(number))
    assert got.all[0].id != "lost"


async def test_subscribing_twice_delivers_once(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    cancel = await reader.subscribe(node, got)
    cancel()
    await reader.subscribe(node, got)
    await device.publish(node, payload(), item_id="1")
    await device.publish(node, payload(), item_id="2")
    await got.until(lambda item: item.id == "2")
    assert [item.id for item in got.all] == ["1", "2"]


async def test_two_handlers_of_a_node_each_get_every_item_once(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    first, second = Collected[Item](), Collected[Item]()
    await reader.subscribe(node, first)
    await reader.subscribe(node, second)
    for item_id in ("1", "2"):
        await device.publish(node, payload(), item_id=item_id)
    assert [item.id for item in await second.count(2)] == ["1", "2"]
    assert [item.id for item in first.all] == ["1", "2"]


async def test_a_cancelled_handler_gets_nothing_more(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    ended, other = Collected[Item](), Collected[Item]()
    cancel = await reader.subscribe(node, ended)
    await reader.subscribe(node, other)
    cancel()
    cancel()
    await device.publish(node, payload(), item_id="1")
    await other.count(1)
    assert ended.all == []


async def test_cancelling_twice_spares_the_same_handlers_other_registration(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    cancel = await reader.subscribe(node, got)
    await reader.subscribe(node, got)
    cancel()
    cancel()
    await device.publish(node, payload(), item_id="1")
    assert [item.id for item in await got.count(1)] == ["1"]


async def test_a_refused_subscription_leaves_no_handler(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device)
    refused, later = Collected[Item](), Collected[Item]()
    with pytest.raises(ForbiddenError):
        await reader.subscribe(node, refused)
    await world.recreate(node, device, [reader])
    await reader.subscribe(node, later)
    await device.publish(node, payload(), item_id="1")
    await later.count(1)
    assert refused.all == []


async def test_a_raising_handler_is_logged_and_disturbs_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()

    async def bad(item: Item) -> None:
        raise RuntimeError(f"cannot handle {item.id}")

    await reader.subscribe(node, bad)
    await reader.subscribe(node, got)
    for item_id in ("1", "2"):
        await device.publish(node, payload(), item_id=item_id)
    assert [item.id for item in await got.count(2)] == ["1", "2"]
    assert reader.state.up
    logged = [it for it in caplog.records if it.name.startswith("iotxmpp") and it.levelno >= logging.ERROR]
    assert any(it.exc_info and "cannot handle 1" in str(it.exc_info[1]) for it in logged)


async def test_handlers_run_one_at_a_time(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    nodes = [await world.node(device, [reader]) for _ in range(2)]
    running, most = 0, 0
    done: Collected[Item] = Collected()

    async def slow(item: Item) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0.001)
        running -= 1
        done.add(item)

    for node in nodes:
        await reader.subscribe(node, slow)
    publishes = [device.publish(nodes[n % 2], payload(), item_id=str(n)) for n in range(10)]
    await asyncio.gather(*publishes)
    assert [item.id for item in await done.count(10)] == [str(n) for n in range(10)]
    assert most == 1


async def test_a_handler_may_publish(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    there, back = await world.node(device, [reader]), await world.node(reader, [device])
    got: Collected[Item] = Collected()

    async def echo(item: Item) -> None:
        await reader.publish(back, payload(), item_id=f"echo-{item.id}")

    await reader.subscribe(there, echo)
    await device.subscribe(back, got)
    await device.publish(there, payload(), item_id="1")
    assert (await got.count(1))[0].id == "echo-1"


async def test_items_gives_the_newest_the_oldest_of_them_first(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader], keep=5)
    for number in range(5):
        await device.publish(node, payload(f"text {number}"), item_id=str(number))
    assert [item.id for item in await reader.items(node)] == ["4"]
    newest = await reader.items(node, newest=3)
    assert [item.id for item in newest] == ["2", "3", "4"]
    assert [text_of(item.payload) for item in newest] == ["text 2", "text 3", "text 4"]
    assert all(item.node == node for item in newest)
    assert len(await reader.items(node, newest=100)) == 5


async def test_the_service_keeps_as_many_items_as_the_policy_says(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader], keep=2)
    for number in range(4):
        await device.publish(node, payload(), item_id=str(number))
    assert [item.id for item in await reader.items(node, newest=10)] == ["2", "3"]


async def test_a_stream_keeps_nothing_and_delivers(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader], keep=0)
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    await device.publish(node, payload("gone soon"), item_id="1")
    assert text_of((await got.count(1))[0].payload) == "gone soon"
    assert await reader.items(node, newest=10) == []


async def test_the_same_id_replaces_the_item_and_notifies_again(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader], keep=5)
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    for text in ("old", "new"):
        await device.publish(node, payload(text), item_id="same")
    assert [text_of(item.payload) for item in await got.count(2)] == ["old", "new"]
    kept = await reader.items(node, newest=10)
    assert [text_of(item.payload) for item in kept] == ["new"]


async def test_items_of_an_empty_node_are_none(world: World) -> None:
    device = await world.join("device")
    assert await device.items(await world.node(device), newest=10) == []


async def test_nodes_are_those_that_name_us_as_a_reader(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    assert await reader.nodes(world.backend.service) == []
    nodes = [await world.node(device, [reader]) for _ in range(3)]
    await world.node(device)
    found = await reader.nodes(world.backend.service)
    assert len(found) == 3
    assert set(found) == set(nodes)
    assert await device.nodes(world.backend.service) == []


async def test_nodes_are_still_those_in_a_new_session(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    await severed(world.backend.renew, reader)
    assert await reader.nodes(world.backend.service) == [node]


async def test_nodes_no_longer_holds_a_deleted_node(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    kept, deleted = await world.node(device, [reader]), await world.node(device, [reader])
    await reader.subscribe(deleted, Collected[Item]())
    await world.backend.provisioner.delete_node(deleted)
    assert await reader.nodes(world.backend.service) == [kept]


async def test_a_publisher_may_subscribe_to_its_own_node(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device)
    got: Collected[Item] = Collected()
    await device.subscribe(node, got)
    assert await device.nodes(world.backend.service) == [node]
    await world.backend.provisioner.create_node(node, policy(device))
    await device.publish(node, payload(), item_id="1")
    await got.count(1)
