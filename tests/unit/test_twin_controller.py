"""The controller's side of the twin: kept, sent, and followed."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.addresses import DeviceNodes, device_id
from iotxmpp.backoff import Backoff
from iotxmpp.controller import Rejection, Store
from iotxmpp.controller.device import Device
from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.controller.twin import Twins
from iotxmpp.controller.twindesk import desk_desire, desk_twin
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import (
    ArgumentsError,
    DeviceAwayError,
    InvalidError,
    NoAnswerError,
    StoreError,
    stanza_error,
)
from iotxmpp.link import Presence, Request
from iotxmpp.memory import MemoryLink
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from iotxmpp.status import parse_status
from iotxmpp.twin import DESIRED_TAG, SEND_ALL, Desired, Reported, Twin, merged, parse_desired
from tests.unit.agent_house import quick
from tests.unit.controller_world import HOUSE, PlayedDevice, World, account, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.server.create_account(HOUSE, "secret")
    await add(world, "hall")
    yield world
    await world.close()


async def add(world: World, name: str) -> None:
    await world.add(name)
    policy = NodePolicy(publisher=f"{name}@localhost", readers=(HOUSE,), keep=2)
    await world.server.create_node(nodes_of(world, name).state, policy)


def nodes_of(world: World, name: str) -> DeviceNodes:
    return DeviceNodes(service=world.server.service, device=device_id(name))


@dataclass
class Hand:
    """A device that takes desired settings as the protocol says."""

    played: PlayedDevice
    got: list[Desired] = field(default_factory=list)
    lineage: str = ""
    version: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)

    async def take(self, request: Request) -> Element | None:
        desired = parse_desired(request.payload)
        self.got.append(desired)
        if self.faults:
            raise self.faults.pop(0)
        known = self.version if desired.lineage == self.lineage else 0
        if known and desired.version <= known:
            return None
        if desired.base not in {0, known}:
            raise stanza_error("item-not-found", "send all", SEND_ALL)
        self.settings = merged(self.settings if desired.base else {}, desired.changes)
        self.lineage, self.version = desired.lineage, desired.version
        return None

    async def report(self, **changes: Any) -> None:  # noqa: ANN401  # a report's own fields
        given = {"lineage": self.lineage, "desired": self.version, "settings": self.settings, **changes}
        await self.publish(Reported(**given).json())

    async def publish(self, text: str, *, item_id: str = "reported") -> None:
        await self.played.link.publish(self.played.nodes.state, json_element(text), item_id=item_id)


@asynccontextmanager
async def hand(world: World, name: str = "hall", *, why: str = "start") -> AsyncIterator[Hand]:
    async with world.device(name) as played:
        taking = Hand(played)
        played.link.serve(DESIRED_TAG, taking.take)
        await played.say(why=why)
        yield taking


@dataclass
class Desk:
    """A controller with nothing but twins."""

    link: MemoryLink
    twins: Twins
    hall: Device
    store: Store
    told: list[Twin]
    rejected: list[Rejection]

    async def desire(self, **settings: Any) -> Twin:  # noqa: ANN401  # any JSON
        return await self.twins.desire(self.hall, settings, by="ann@example.org")

    @property
    def twin(self) -> Twin:
        return self.twins.of(self.hall)


@asynccontextmanager
async def desk(world: World, url: str = "sqlite://", *, keeps: bool = True) -> AsyncIterator[Desk]:
    async with world.server.link(account(HOUSE)) as link:
        store, told, rejected = Store(url), list[Twin](), list[Rejection]()
        writer = Writer(store)

        async def tell(_device: Device, twin: Twin) -> None:
            told.append(twin)

        twins = Twins(
            link,
            service=world.server.service,
            rows=TwinRows(store.database) if keeps else None,
            between=writer.between if keeps else None,
            reject=rejected.append,
            tell=tell,
            backoff=quick_backoff,
        )
        hall = Device(device_id("hall"), "hall@localhost", link=link, twins=twins)

        async def seen(presence: Presence) -> None:
            hall.sessions.see(presence, parse_status(presence.extensions))
            twins.look(hall)

        link.on_presence(seen)
        link.on_state(lambda state: hall.sessions.link_up(resumed=state.resumed) if state.up else None)
        link.on_state(twins.link_changed)
        await link.follow("hall@localhost")
        twins.join(hall)
        try:
            yield Desk(link, twins, hall, store, told, rejected)
        finally:
            await twins.close()
            await writer.close()


def quick_backoff(**_more: float) -> Backoff:
    return quick()


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
            assert ours.twin.refused == {"light": "no"}
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


@pytest.mark.parametrize(
    "error",
    [
        stanza_error("resource-constraint", "disk full"),
        stanza_error("service-unavailable"),
        stanza_error("internal-server-error"),
        stanza_error("item-not-found", "no"),
    ],
)
async def test_what_fails_is_sent_again(world: World, error: Exception) -> None:
    async with hand(world) as device, desk(world) as ours:
        device.faults = [error, error]
        await ours.desire(light=20)
        await until(lambda: device.settings == {"light": 20})


@pytest.mark.parametrize("condition", ["forbidden", "bad-request", "not-acceptable"])
async def test_what_is_hopeless_waits_for_the_next_session_or_change(
    world: World, condition: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hand(world) as device, desk(world) as ours:
        device.faults = [stanza_error(condition, "never")] * 2
        with caplog.at_level(logging.WARNING):
            await ours.desire(light=20)
            await until(lambda: len(device.faults) == 1)
            await asyncio.sleep(0.3)
        assert len(device.faults) == 1
        assert "hall: it refuses its settings: " in caplog.text
        await device.played.say(why="reconnect")
        await until(lambda: not device.faults)
        await ours.desire(light=30)
        await until(lambda: device.settings == {"light": 30})


async def test_a_link_that_went_down_sends_it_when_it_is_back(world: World) -> None:
    async with hand(world) as device, desk(world) as ours:
        world.server.drop(HOUSE, back_after=None)
        await until(lambda: not ours.link.state.up)
        await ours.desire(light=20)
        await device.report()
        world.server.restore(HOUSE)
        await until(lambda: ours.link.state.up)
        await until(lambda: device.settings == {"light": 20})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "twin"),
        ("[]", "twin"),
        ('{"form":1,"lineage":"","desired":9223372036854775808,"version":1}', "twin"),
        (json.dumps({"a": "x" * 300_000}), "too-large"),
    ],
)
async def test_a_bad_report_is_rejected_and_the_last_good_one_stays(
    world: World, text: str, code: str
) -> None:
    async with hand(world) as device, desk(world) as ours:
        await device.report(settings={"light": 5})
        await until(lambda: ours.twin.reported == {"light": 5})
        await device.publish(text, item_id="other")
        await device.publish(text)
        await until(lambda: len(ours.rejected) == 1)
        await device.report(settings={"light": 6})
        await until(lambda: ours.twin.reported == {"light": 6})
        assert [each.code for each in ours.rejected] == [code]
        assert ours.rejected[0].node == "iot/hall/state"


async def test_a_device_without_a_state_node_still_gets_its_settings(world: World) -> None:
    await world.server.delete_node(nodes_of(world, "hall").state)
    async with hand(world) as device, desk(world) as ours:
        await ours.desire(light=20)
        await until(lambda: device.settings == {"light": 20})
        seen = ours.hall.sessions.latest
        assert seen is not None
        ours.hall.saw_presence(seen.presence)
        with pytest.raises(NoAnswerError, match=r"did not report it within 0.02 s; it is online"):
            await ours.twins.settled(ours.hall, timeout=0.02)


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


@pytest.mark.parametrize(
    "settings",
    [{"": 1}, {"a\x00": 1}, {"a": float("nan")}, {"a": object()}, {"a": "x" * 70_000}, {"a": "\ud800"}],
)
async def test_settings_that_cannot_be_sent_are_refused_at_once(
    world: World, settings: dict[str, object]
) -> None:
    async with desk(world) as ours:
        with pytest.raises(InvalidError, match="settings of hall"):
            await ours.twins.desire(ours.hall, settings)
        assert ours.twin.desired_version == 0


async def test_a_store_that_fails_refuses_a_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object, **_more: object) -> None:
        raise StoreError("the disk is full")

    async with hand(world) as device, desk(world) as ours:
        with monkeypatch.context() as patched:
            patched.setattr(TwinRows, "desire", failing)
            with pytest.raises(StoreError, match="disk is full"):
                await ours.desire(light=20)
        assert ours.twin.desired_version == 0
        await ours.desire(light=30)
        await until(lambda: device.settings == {"light": 30})


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
