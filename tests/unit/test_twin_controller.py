"""The controller's side of the twin: kept, sent, and followed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iotxmpp.controller.twindesk import desk_desire, desk_twin
from iotxmpp.errors import ArgumentsError, DeviceAwayError, InvalidError
from iotxmpp.twin import Twin
from tests.unit.controller_world import World, until
from tests.unit.twin_desk import desk, hand, twin_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twin_world() as world:
        yield world


async def test_a_change_reaches_a_device_that_is_there(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        twin = await ours.desire(light=20, name="hall")
        assert (twin.desired, twin.desired_version, twin.settled) == ({"light": 20, "name": "hall"}, 1, False)
        await until(lambda: device.settings == {"light": 20, "name": "hall"})
        await device.report()
        twin = await ours.twins.settled(ours.hall, timeout=2)
        assert twin.in_sync
        assert twin.reported == {"light": 20, "name": "hall"}
        await ours.desire(light=30, name=None)
        await until(lambda: device.settings == {"light": 30})
        assert device.got[-1].base == 1
        assert device.got[-1].changes == {"light": 30, "name": None}


async def test_a_change_waits_for_a_device_that_is_away(world: World) -> None:
    async with desk(world) as ours:
        await ours.desire(light=20)
        with pytest.raises(DeviceAwayError, match=r"version 1 is kept.*gets it when it is back"):
            await ours.twins.settled(ours.hall, timeout=0.02)
        async with hand(world) as device:
            await until(lambda: device.settings == {"light": 20})
            await device.report()
            assert (await ours.twins.settled(ours.hall, timeout=2)).in_sync


async def test_what_is_desired_outlives_the_controller(world: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    async with hand(world) as device:
        async with desk(world, url) as ours:
            await ours.desire(light=20)
            await until(lambda: device.version == 1)
            await device.report(refused={"light": "no"})
            await until(lambda: bool(ours.twin.refused))
        async with desk(world, url) as ours:
            await until(lambda: ours.twin.desired_version == 1)
            await until(lambda: ours.twin.refused == {"light": "no"})
            await ours.desire(name="hall")
            await until(lambda: device.version == 2)
            assert device.settings == {"light": 20, "name": "hall"}


async def test_every_new_session_is_told_what_it_may_have_missed(world: World) -> None:
    async with desk(world) as ours:
        async with hand(world) as device:
            await ours.desire(light=20)
            await until(lambda: device.version == 1)
            await device.report()
            await until(lambda: ours.twin.in_sync)
        await ours.desire(name="hall")
        async with hand(world) as again:
            again.lineage, again.version, again.settings = device.lineage, 1, {"light": 20}
            await until(lambda: again.version == 2)
            assert again.got[-1].changes == {"name": "hall"}
        async with hand(world) as forgetful:  # its disk was lost, and it has not reported yet
            await until(lambda: forgetful.version == 2)
            assert forgetful.settings == {"light": 20, "name": "hall"}
            assert forgetful.got[-1].base == 0


async def test_a_report_of_nothing_gets_everything(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        await ours.desire(light=20)
        await until(lambda: device.version == 1)
        await device.report()
        await until(lambda: ours.twin.in_sync)
        device.lineage, device.version, device.settings = "", 0, {}
        await device.report()
        await until(lambda: device.version == 1)
        assert device.got[-1].base == 0


async def test_a_device_that_knows_more_than_the_store_gets_a_new_lineage(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        await ours.desire(light=20)
        await until(lambda: device.version == 1)
        before = device.lineage
        device.version, device.settings = 9, {"light": 99}
        await device.report()
        await until(lambda: device.settings == {"light": 20})
        assert device.lineage != before
        await device.report()
        assert (await ours.twins.settled(ours.hall, timeout=2)).in_sync


async def test_another_stores_settings_are_replaced_by_the_first_change(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        device.lineage, device.version, device.settings = "old", 9, {"light": 99}
        await device.report()
        await until(lambda: ours.twin.reported == {"light": 99})
        assert ours.twin.in_sync
        assert device.got == []
        await ours.desire(name="hall")
        await until(lambda: device.settings == {"name": "hall"})


async def test_handlers_are_told_of_changes_alone(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        await ours.desire(light=20)
        await until(lambda: device.version == 1)
        await device.report()
        await until(lambda: bool(ours.told) and ours.told[-1].in_sync)
        count = len(ours.told)
        await device.report()
        await device.played.say(why="heartbeat")
        await asyncio.sleep(0.05)
        assert len(ours.told) == count
        assert all(one != other for one, other in zip(ours.told, ours.told[1:], strict=False))


async def test_a_controller_that_only_watches_sees_and_desires_nothing(world: World) -> None:
    async with hand(world) as device, desk(world, keeps=False) as ours:
        await device.report(settings={"light": 5})
        await until(lambda: ours.twin.reported == {"light": 5})
        with pytest.raises(InvalidError, match="only watches"):
            await ours.desire(light=20)


async def test_many_changes_at_once_end_with_the_last(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        await asyncio.gather(*(ours.desire(light=number) for number in range(30)))
        await until(lambda: device.version == 30, 5.0)
        assert device.settings == ours.twin.desired == {"light": 29}
        assert len(device.got) < 30


async def test_a_device_that_left_keeps_what_is_desired(world: World) -> None:
    async with desk(world) as ours:
        await ours.desire(light=20)
        ours.twins.leave(ours.hall)
        assert ours.twin == Twin()
        ours.twins.join(ours.hall)
        await until(lambda: ours.twin.desired == {"light": 20})


async def test_the_desk_shows_and_changes_a_twin(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        shown = await desk_desire(ours.hall, {"light": 20}, by="ann@example.org")
        assert (shown["device"], shown["desired"], shown["in_sync"]) == ("hall", {"light": 20}, False)
        await until(lambda: device.version == 1)
        await device.report()
        await ours.twins.settled(ours.hall, timeout=2)
        shown = await desk_twin(ours.hall)
        assert shown["reported"] == {"light": 20}
        assert (shown["desired_version"], shown["reported_version"], shown["in_sync"]) == (1, 1, True)
        json.dumps(shown)
        with pytest.raises(ArgumentsError, match="no name of a setting"):
            await desk_desire(ours.hall, {"": 1})
