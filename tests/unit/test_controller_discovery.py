"""Which devices a controller has, over time and over cuts of its link."""

import asyncio
from pathlib import Path

import pytest

from iotxmpp.about import About
from iotxmpp.addresses import DeviceNodes, device_id
from iotxmpp.controller import Device, session
from iotxmpp.errors import UnknownDeviceError
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from tests.unit.controller_world import HOUSE, SOON, World, about_of, kept, until


async def test_a_device_that_is_added_later_is_seen(world: World) -> None:
    controller = await world.controller()
    seen: list[str] = []

    @controller.on_reading
    async def values(value: float, device: Device) -> None:
        seen.append(device.id)

    async with controller:
        assert list(controller.devices) == ["hall"]
        with pytest.raises(UnknownDeviceError, match="known are: hall"):
            controller.device("cellar")
        await world.add("cellar")
        async with world.device("cellar") as cellar:
            await controller.wait_for("cellar", timeout=SOON)
            await until(lambda: controller.device("cellar").about)
            await cellar.read(20)
            await until(lambda: seen)
    assert seen == ["cellar"]


async def test_anothers_devices_are_left_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.add("private", readers=())
    nodes = DeviceNodes(service=world.server.service, device=device_id("half"))
    await world.server.create_account("half@localhost", "secret")
    await world.server.create_node(nodes.about, NodePolicy(publisher="half@localhost", readers=(HOUSE,)))
    await world.server.create_node(nodes.readings, NodePolicy(publisher="half@localhost", readers=()))
    async with await world.controller() as controller:
        assert list(controller.devices) == ["hall"]
    assert "cannot" not in caplog.text


async def test_named_devices_are_the_only_ones_and_may_live_elsewhere(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.add("roof", publisher="roof@farm.example")
    await world.add("other")
    controller = await world.controller(devices=["hall", "roof@farm.example", "typo"])
    async with world.device("roof", jid="roof@farm.example") as roof, controller:
        assert set(controller.devices) == {"hall", "roof", "typo"}
        assert controller.device("hall").jid == "hall@localhost"
        assert (await controller.wait_for("roof", timeout=SOON)).jid == "roof@farm.example"
        await roof.read(20)
        await until(lambda: controller.device("roof").readings)
        assert "device typo: its nodes at pubsub.localhost cannot be read" in caplog.text
        await world.add("typo")
        async with world.device("typo"):
            await controller.wait_for("typo", timeout=SOON)


async def test_a_device_that_refused_to_be_seen_is_asked_again(world: World) -> None:
    async with world.device("hall", admits=False) as hall, await world.controller() as controller:
        await asyncio.sleep(0.02)
        assert controller.device("hall").state == "unknown"
        hall.link.admit(lambda jid: jid == HOUSE)
        await controller.wait_for("hall", timeout=SOON)


async def test_a_removed_device_is_forgotten(world: World) -> None:
    await world.add("cellar")
    nodes = DeviceNodes(service=world.server.service, device=device_id("cellar"))
    async with world.device("cellar") as cellar, await world.controller() as controller:
        await cellar.read(20)
        await until(lambda: controller.device("cellar").readings)
        await world.server.delete_node(nodes.readings)
        await world.server.delete_node(nodes.about)
        await until(lambda: "cellar" not in controller.devices)
        text = controller.metrics.text()
        assert 'iotxmpp_readings_total{device="cellar"} 1.0' in text
        assert 'iotxmpp_device_online{device="cellar"}' not in text
        await world.add("cellar")
        await cellar.describe(about_of("cellar"))
        await controller.wait_for("cellar", timeout=SOON)
        await cellar.read(21)
        await until(lambda: controller.device("cellar").readings)


async def test_after_a_cut_everything_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SETTLE", 0.05)
    await world.add("cellar")
    controller = await world.controller(discover_every=60)
    told: list[tuple[str, str]] = []
    seen: list[float] = []

    @controller.on_presence
    async def tell(device: Device) -> None:
        told.append((device.id, device.state))

    @controller.on_reading
    async def values(value: float) -> None:
        seen.append(value)

    async with world.device("hall") as hall, world.device("cellar"), controller:
        for name in ("hall", "cellar"):
            await controller.wait_for(name, timeout=SOON)
        await until(lambda: len(told) == 2)
        told.clear()
        world.server.drop(HOUSE, back_after=None)
        assert {device.state for device in controller.devices.values()} == {"unknown"}
        assert "iotxmpp_link_up 0.0" in controller.metrics.text()
        await hall.describe(About(device="hall", site="moved", channels=about_of("hall").channels))
        world.server.drop("cellar@localhost", back_after=None)
        world.server.restore(HOUSE)
        await controller.wait_for("hall", timeout=SOON)
        await until(lambda: getattr(controller.device("hall").about, "site", "") == "moved")
        await hall.read(7)
        await until(lambda: seen)
        await until(lambda: told)
        world.server.restore("cellar@localhost")
        await controller.wait_for("cellar", timeout=SOON)
        await until(lambda: len(told) == 2)
    assert told == [("cellar", "lost"), ("cellar", "online")], "of the hall there was nothing to tell"
    assert seen == [7]


async def test_a_resumed_session_knows_what_it_knew(world: World) -> None:
    controller = await world.controller(discover_every=60)
    async with world.device("hall"), controller:
        device = await controller.wait_for("hall", timeout=SOON)
        world.server.drop(HOUSE, resume=True, back_after=None)
        assert (device.state, device.presence) == ("unknown", None)
        world.server.restore(HOUSE)
        assert device.online


async def test_the_same_bad_description_is_kept_once(world: World) -> None:
    controller = await world.controller(discover_every=60)
    async with world.device("hall", describe=False) as hall:
        await hall.describe(json_element('{"device": "cellar"}'))
        async with controller:
            assert [each.code for each in await kept(controller)] == ["identity"]
            world.server.drop(HOUSE)
            await until(lambda: "iotxmpp_link_up 1.0" in controller.metrics.text())
            await hall.describe(json_element('{"device": "attic"}'))
            assert [each.error.split("'")[1] for each in await kept(controller, 2)] == ["cellar", "attic"]


async def test_a_service_that_does_not_answer_does_not_stop_the_start(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller()
    service = world.server.service
    world.server._hub.service = "pubsub.elsewhere"
    async with controller:
        assert controller.devices == {}
        assert "does not say which nodes it has: remote-server-not-found" in caplog.text
        await asyncio.sleep(0.15)
        assert caplog.text.count("does not say") == 1
        world.server._hub.service = service
        await controller.wait_for("hall", online=None, timeout=SOON)


async def test_many_devices_are_joined(world: World, tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(200)]
    for name in names:
        await world.add(name)
    controller = await world.controller(store=f"sqlite:///{tmp_path}/c.db")
    world.server.delay(0.001)
    async with controller:
        assert set(controller.devices) == {"hall", *names}
