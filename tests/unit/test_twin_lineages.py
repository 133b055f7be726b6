"""The controller's side of the twin after a restored store, and beside another controller."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.controller.twinrival import FIRST_DELAY, LONGEST_DELAY, Rivalry
from iotxmpp.errors import StoreError, stanza_error
from iotxmpp.twin import SEND_ALL, digest
from tests.unit.controller_world import World, until
from tests.unit.twin_desk import desk, hand, twin_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twin_world() as world:
        yield world


async def test_a_restored_store_that_counts_on_at_once_begins_a_new_lineage(
    world: World, tmp_path: Path
) -> None:
    store, backup = tmp_path / "store.db", tmp_path / "backup.db"
    async with hand(world) as device:
        async with desk(world, f"sqlite:///{store}") as ours:
            await ours.desire(light=10)
            await until(lambda: device.version == 1)
            await device.report(digest=digest(device.settings))
            await until(lambda: ours.twin.in_sync)
        backup.write_bytes(store.read_bytes())
        device.version, device.settings = 2, {"light": 70}  # what the lost store desired last
        await device.report(digest=digest(device.settings))
        before = device.lineage
        async with desk(world, f"sqlite:///{backup}") as ours:
            twin = await ours.desire(light=20)
            assert (twin.desired_version, twin.in_sync) == (2, False)
            await until(lambda: device.settings == {"light": 20})
            assert device.lineage != before
            assert not ours.twin.in_sync
            await device.report(digest=digest(device.settings))
            assert (await ours.twins.settled(ours.hall, timeout=2)).in_sync


async def test_other_contents_are_never_in_sync(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object, **_more: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(TwinRows, "renew", failing)
    async with hand(world) as device, desk(world) as ours:
        await ours.desire(light=20)
        await until(lambda: device.version == 1)
        await device.report(settings={"light": 70}, digest=digest({"light": 70}))
        await until(lambda: ours.twin.reported == {"light": 70})
        assert not ours.twin.settled


async def test_a_device_that_asks_for_all_again_gets_one_new_lineage(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        device.faults = [stanza_error("item-not-found", "other contents", SEND_ALL)]
        await ours.desire(light=20)
        await until(lambda: device.settings == {"light": 20})
        assert device.got[0].lineage != device.got[1].lineage == device.lineage
        device.faults = [stanza_error("item-not-found", "always", SEND_ALL) for _ in range(4)]
        count = len(device.got)
        await ours.desire(light=30)
        await until(lambda: not device.faults and device.settings == {"light": 30}, 5.0)
        assert len({each.lineage for each in device.got[count:]}) == 2


async def test_the_desired_settings_say_who_wants_them(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        await ours.desire(light=20)
        await until(lambda: device.version == 1)
        assert (device.got[-1].by, device.got[-1].digest) == ("ann@example.org", digest({"light": 20}))


async def test_two_controllers_with_a_store_each_do_not_fight(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with hand(world) as device, desk(world) as one, desk(world) as other:

        async def reports() -> None:
            told = (device.lineage, device.version)
            while True:
                if told != (device.lineage, device.version):
                    told = (device.lineage, device.version)
                    await device.report(digest=digest(device.settings))
                await asyncio.sleep(0.005)

        task = asyncio.create_task(reports())
        await one.desire(light=10)
        await until(lambda: one.twin.in_sync)
        with caplog.at_level(logging.WARNING):
            await other.desire(light=90)
            await asyncio.sleep(1.5)
            count = len(device.got)
            assert count <= 6
            await asyncio.sleep(0.5)
            assert len(device.got) == count
        assert "two controllers desire its settings" in caplog.text
        await one.desire(light=11)  # who changes something need not wait
        await until(lambda: device.settings == {"light": 11})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_replacing_another_lineage_takes_longer_each_time() -> None:
    now = [0.0]
    rivalry = Rivalry("hall", clock=lambda: now[0])
    rivalry.saw("ours", "theirs", ours="ours")
    assert rivalry.wait() == 0
    waits = []
    for _ in range(9):
        rivalry.replaced()
        rivalry.saw("theirs", "ours", ours="ours")
        assert rivalry.wait() == 0
        rivalry.saw("ours", "theirs", ours="ours")
        waits.append(rivalry.wait())
        now[0] += waits[-1]
        assert rivalry.wait() == 0
    assert waits[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert max(waits) == waits[-1] == LONGEST_DELAY
    rivalry.replaced()
    rivalry.saw("ours", "", ours="ours")  # a device that lost its disk gets everything at once
    assert rivalry.wait() == 0
    now[0] += 2 * LONGEST_DELAY
    rivalry.saw("ours", "theirs", ours="ours")
    assert rivalry.wait() == 0
