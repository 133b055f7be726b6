"""Backlogs, holes and gap records on their way to the store and the handlers."""

import asyncio
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.controller import Store
from iotxmpp.controller import acks as acks_module
from iotxmpp.delivery import Gap
from tests.store.samples import numbers
from tests.unit.controller_world import World, pack, until
from tests.unit.delivery_world import Heard, counting, send

pytestmark = pytest.mark.usefixtures("quick_acks")


async def test_live_first_then_the_backlog(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    live, every = counting(controller), counting(controller, historical=True)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await send(hall, 11, 12)
        await send(hall, 1, 4, age=3600)
        await send(hall, 5, 10)
        await until(lambda: heard.upto == {"e1": 12})
        await until(lambda: len(every) == 12)
        assert controller.device("hall").readings["count"].value == 12
        assert 'channel="count",device="hall",unit=""} 12.0' in controller.metrics.text()
        assert 'iotxmpp_historical_total{device="hall"} 10.0' in controller.metrics.text()
    assert live == [11, 12]
    assert every == [11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


async def test_after_a_restart_of_the_controller_late_readings_stay_late(world: World, url: str) -> None:
    async with world.device("hall") as hall:
        async with await world.controller(store=url):
            await send(hall, 5, 9)
            store = Store(url)
            await until(lambda: numbers(store) == [5, 6, 7, 8, 9])
            store.close()
        controller = await world.controller(store=url)
        live = counting(controller)
        async with controller:
            assert controller.device("hall").readings["count"].value == 9
            await send(hall, 1, 4)
            await send(hall, 10, 10)
            await until(lambda: live == [10])
            assert controller.device("hall").readings["count"].value == 10


async def test_a_hole_is_asked_for_and_a_gap_record_closes_it(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acks_module, "SWEEP", 0.02)
    monkeypatch.setattr("iotxmpp.controller.gapwatch.SILENT", 0.1)
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await until(lambda: heard.again == 1)
        await send(hall, 1, 2)
        await send(hall, 6, 7)
        await until(lambda: heard.again == 2)
        assert heard.upto == {"e1": 2}
        await send(hall, 3, 3)
        gap = Gap(epoch="e1", reason="full", lost=((4, 5),))
        await hall.publish(gap.element(), item_id="e1.4")
        await until(lambda: heard.upto == {"e1": 7})
        count = len(heard.acks)
        await asyncio.sleep(0.3)
        assert len(heard.acks) == count
        assert 'iotxmpp_readings_lost_total{device="hall",reason="full"} 2.0' in controller.metrics.text()
    store = Store(url)
    assert numbers(store) == [1, 2, 3, 6, 7]
    store.close()


async def test_a_gap_over_what_is_stored_and_what_never_was_takes_nothing_away(
    world: World, url: str
) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await send(hall, 1, 3)
        await send(hall, 6, 7)
        await until(lambda: heard.upto == {"e1": 3})
        gap = Gap(epoch="e1", reason="corrupt", lost=((1, 10_000),))
        await hall.publish(gap.element(), item_id="e1.1")
        await until(lambda: heard.upto == {"e1": 10_000})
        text = controller.metrics.text()
        assert 'iotxmpp_readings_lost_total{device="hall",reason="corrupt"} 9995.0' in text
    store = Store(url)
    assert numbers(store) == [1, 2, 3, 6, 7]
    store.close()


async def test_readings_of_an_unknown_epoch_from_its_middle_on_are_kept(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await send(hall, 500, 502, epoch="future")
        await until(lambda: heard.upto == {"future": 0})
        gap = Gap(epoch="future", reason="trimmed", lost=((1, 499),))
        await hall.publish(gap.element(), item_id="future.1")
        await until(lambda: heard.upto == {"future": 502})
    assert seen == [500, 501, 502]


async def test_what_was_rejected_is_acknowledged_too_and_kept_once(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    bad = pack(
        "hall", {"n": "count", "v": 1}, {"n": "temperature", "u": "K", "v": 300}, {"n": "count", "v": 3}
    )
    garbage = Element("{urn:xmpp:json:0}json")
    garbage.text = '[{"n":"?"},{"n":"?"}]'
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        for _ in range(2):
            await hall.publish(bad, item_id="e1.1")
            await hall.publish(garbage, item_id="e1.4")
        await send(hall, 6, 6)
        await until(lambda: heard.upto == {"e1": 6})
        kept = await controller.rejections()
    assert [(each.code, each.item) for each in kept] == [("unit", "e1.1"), ("senml", "e1.4")]


async def test_an_item_that_lies_about_its_numbers_settles_nothing(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        lie = pack("hall", {"n": "count", "v": 1, "sq": 9})
        await hall.publish(lie, item_id="e1.1")
        await hall.publish(Gap(epoch="e9", reason="age", lost=((1, 1),)).element(), item_id="e1.1")
        await send(hall, 2, 2)
        await until(lambda: heard.upto == {"e1": 0})
        assert [each.code for each in await controller.rejections()] == ["numbers", "numbers"]
        await send(hall, 1, 1)
        await until(lambda: heard.upto == {"e1": 2})


async def test_a_device_that_says_it_never_made_a_number_is_not_asked_to_death(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        heard = Heard(refuse="not-acceptable").serve(hall)
        await send(hall, 1, 1)
        await until(lambda: heard.upto == {"e1": 1})
        await asyncio.sleep(0.1)
        assert len(heard.acks) <= 2
        heard.refuse = ""
        await send(hall, 2, 2)
        await until(lambda: heard.upto == {"e1": 2})
    assert "device hall refuses an ack: not-acceptable" in caplog.text
