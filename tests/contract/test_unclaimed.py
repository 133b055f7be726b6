"""Items of nodes that have no handler."""

import asyncio
import logging

import pytest

from iotxmpp.link import Item, Link
from tests.contract.world import ON_ONE_LOOP, Collected, World, payload, severed, text_of

pytestmark = ON_ONE_LOOP


def ids(got: Collected[Item]) -> list[str]:
    return [item.id for item in got.all]


async def test_items_of_a_node_without_a_handler_come_whole_and_in_order(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    got: Collected[Item] = Collected()
    reader.on_unclaimed(got)
    node = await world.node(device, [reader])
    for number in range(3):
        await device.publish(node, payload(f"text {number}"), item_id=str(number))
    await got.count(3)
    assert ids(got) == ["0", "1", "2"]
    assert [text_of(item.payload) for item in got.all] == ["text 0", "text 1", "text 2"]
    assert {(item.node, item.problem) for item in got.all} == {(node, "")}


async def test_each_item_has_one_taker_and_what_is_unclaimed_is_older(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    unclaimed, claimed = Collected[Item](), Collected[Item]()
    reader.on_unclaimed(unclaimed)

    async def publish() -> None:
        for number in range(40):
            await device.publish(node, payload(), item_id=str(number))

    publishing = asyncio.create_task(publish())
    await unclaimed.count(5)
    cancel = await reader.subscribe(node, claimed)
    await publishing
    await claimed.until(lambda item: item.id == "39")
    assert len(unclaimed.all) >= 5
    assert ids(unclaimed) + ids(claimed) == [str(number) for number in range(40)]
    cancel()
    await device.publish(node, payload(), item_id="after")
    await unclaimed.until(lambda item: item.id == "after")
    assert ids(claimed)[-1] == "39"


async def test_an_item_that_waits_its_turn_goes_to_the_handler_that_came_meanwhile(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    slow, node = await world.node(device, [reader]), await world.node(device, [reader])
    unclaimed, claimed = Collected[Item](), Collected[Item]()
    busy, done = asyncio.Event(), asyncio.Event()

    async def hold_up(item: Item) -> None:
        busy.set()
        await done.wait()

    await reader.subscribe(slow, hold_up)
    reader.on_unclaimed(unclaimed)
    await device.publish(slow, payload(), item_id="slow")
    await device.publish(node, payload(), item_id="waits")
    await busy.wait()
    await reader.subscribe(node, claimed)
    done.set()
    await claimed.count(1)
    assert (ids(unclaimed), ids(claimed)) == ([], ["waits"])


async def test_only_what_the_account_is_subscribed_to_comes(world: World) -> None:
    device, stranger = await world.join("device"), await world.join("stranger")
    got, own = Collected[Item](), Collected[Item]()
    links: tuple[Link, ...] = (device, stranger)
    for link in links:
        link.on_unclaimed(got)
    others, fence = await world.node(device), await world.node(stranger, [device])
    await device.publish(others, payload(), item_id="secret")
    await device.subscribe(fence, own)
    await stranger.subscribe(fence, own)
    await stranger.publish(fence, payload(), item_id="fence")
    await own.count(2)
    assert ids(got) == [], "neither the publisher nor a stranger is subscribed"


async def test_it_outlives_the_session_and_may_come_before_the_first(world: World) -> None:
    got: Collected[Item] = Collected()

    def hear(link: Link) -> None:
        link.on_unclaimed(got)

    device, reader = await world.join("device"), await world.join("reader", before=hear)
    node = await world.node(device, [reader])
    await device.publish(node, payload(), item_id="1")
    await got.count(1)
    await severed(world.backend.renew, reader)
    await device.publish(node, payload(), item_id="2")
    await got.count(2)
    assert ids(got) == ["1", "2"]


async def test_each_registration_is_taken_back_by_itself(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    ended, goes_on = Collected[Item](), Collected[Item]()
    cancel = reader.on_unclaimed(ended)
    reader.on_unclaimed(ended)()
    reader.on_unclaimed(goes_on)
    await device.publish(node, payload(), item_id="1")
    await goes_on.count(1)
    cancel()
    cancel()
    await device.publish(node, payload(), item_id="2")
    await goes_on.count(2)
    assert ids(ended) == ["1"]


async def test_one_that_raises_is_logged_and_disturbs_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()

    async def bad(item: Item) -> None:
        raise RuntimeError(f"cannot handle {item.id}")

    reader.on_unclaimed(bad)
    reader.on_unclaimed(got)
    for item_id in ("1", "2"):
        await device.publish(node, payload(), item_id=item_id)
    await got.count(2)
    assert ids(got) == ["1", "2"]
    logged = [it for it in caplog.records if it.name.startswith("iotxmpp") and it.levelno >= logging.ERROR]
    assert any(it.exc_info and "cannot handle 1" in str(it.exc_info[1]) for it in logged)


async def test_without_any_taker_items_are_passed_over(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    passed, node = await world.node(device, [reader]), await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    await device.publish(passed, payload(), item_id="passed over")
    await device.publish(node, payload(), item_id="1")
    await got.count(1)
    assert reader.state.up
