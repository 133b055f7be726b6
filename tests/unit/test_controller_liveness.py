"""A controller that watches who is alive: time, pings, events, history."""

import asyncio
import sqlite3
import time
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import liveness as rules
from iotxmpp.controller import Change, Controller, Device
from iotxmpp.controller import liveness as module
from iotxmpp.controller import session as session_module
from iotxmpp.errors import InvalidError
from iotxmpp.link import Presence
from iotxmpp.status import DeviceStatus
from tests.unit.controller_world import HOUSE, SOON, PlayedDevice, World, until

BEAT = 0.1


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graces for a network without one."""
    monkeypatch.setattr(rules, "GRACE", 0.05)
    monkeypatch.setattr(rules, "LOST_GRACE", 0.2)
    monkeypatch.setattr(module, "PROOF_TIMEOUT", 0.1)
    monkeypatch.setattr(module, "PROOF_PAUSE", 0.01)


class Told:
    """The changes that handlers were told."""

    def __init__(self, controller: Controller) -> None:
        self.changes: list[tuple[str, Change]] = []
        controller.on_liveness(self.take)

    async def take(self, device: Device, change: Change) -> None:
        self.changes.append((device.id, change))

    @property
    def states(self) -> list[str]:
        return [change.new for _, change in self.changes]

    async def until(self, state: str) -> Change:
        await until(lambda: self.states[-1:] == [state])
        return self.changes[-1][1]


async def test_who_falls_silent_is_stale_then_pinged_then_lost_and_comes_back(world: World) -> None:
    controller = await world.controller()
    told = Told(controller)
    async with world.device("hall") as hall, controller:
        await hall.say(heartbeat=BEAT)
        device = await controller.wait_for("hall", timeout=SOON)
        speak = world.server.silence("hall@localhost")
        started = time.monotonic()
        await controller.wait_for("hall", state="lost", timeout=SOON)
        assert 2 * BEAT < time.monotonic() - started < 3 * BEAT + 0.2 + 0.5
        assert (device.state, device.online) == ("lost", False)
        change = await told.until("lost")
        assert told.states[-2:] == ["stale", "lost"]
        assert change is device.liveness
        assert change.old == "stale"
        assert change.why in {"no answer to a ping within 0 s", "silent for 1 s"}, "both end at one time here"
        assert abs(change.at - time.time()) < SOON
        speak()
        await hall.read(20)
        assert (await told.until("online")).why == "heard"
        text = controller.metrics.text()
    assert 'iotxmpp_liveness_changes_total{device="hall",state="lost"} 1.0' in text


async def test_who_answers_pings_is_never_lost(world: World) -> None:
    controller = await world.controller()
    told = Told(controller)
    async with world.device("hall") as hall, controller:
        await hall.say(heartbeat=BEAT)
        await controller.wait_for("hall", timeout=SOON)
        await until(lambda: told.states.count("stale") >= 3)
        assert set(told.states) == {"online", "stale"}
        assert told.changes[-1][1].why in {"it answered a ping", "silent for 0 s"}


async def test_a_device_whose_session_is_gone_unseen_is_lost_by_the_refused_ping(world: World) -> None:
    controller = await world.controller()
    told = Told(controller)
    async with world.device("hall") as hall, controller:
        await hall.say(heartbeat=BEAT)
        await controller.wait_for("hall", timeout=SOON)
        world.server._hub._sessions.pop(hall.link.jid)
        change = await told.until("lost")
        assert change.why.startswith("a ping did not reach it: service-unavailable")


async def test_while_our_own_link_is_dumb_nobody_is_lost(world: World) -> None:
    controller = await world.controller()
    async with world.device("hall") as hall, controller:
        await hall.say(heartbeat=BEAT)
        device = await controller.wait_for("hall", timeout=SOON)
        speak = world.server.silence(HOUSE)
        await asyncio.sleep(3 * BEAT + 0.5)
        assert device.state == "stale"
        world.server.silence("hall@localhost")
        speak()
        await controller.wait_for("hall", state="lost", timeout=SOON)


async def test_a_controller_that_was_stopped_for_a_while_loses_nobody(world: World) -> None:
    controller = await world.controller()
    told = Told(controller)
    async with world.device("hall") as hall, controller:
        await hall.say(heartbeat=BEAT)
        await controller.wait_for("hall", timeout=SOON)
        time.sleep(3 * BEAT + 0.5)  # noqa: ASYNC251  # the whole process stands still
        await hall.say(heartbeat=30)
        await asyncio.sleep(0.2)
        assert "lost" not in told.states
        assert controller.device("hall").state == "online"


async def test_a_sleeper_may_leave_and_is_lost_when_it_does_not_wake(world: World) -> None:
    controller = await world.controller()
    told = Told(controller)
    async with controller:
        async with world.device("hall") as hall:
            await hall.say(heartbeat=BEAT)
            await controller.wait_for("hall", timeout=SOON)
            await hall.say(heartbeat=BEAT, why="sleep", sleeping=1)
            await controller.wait_for("hall", state="sleeping", timeout=SOON)
            asleep = time.monotonic()
        await asyncio.sleep(0.5)
        assert controller.device("hall").state == "sleeping"
        change = await told.until("lost")
        assert time.monotonic() - asleep >= 1
        assert change.why == "it did not wake in time"


async def test_a_stop_a_death_and_our_own_cut_are_told(world: World) -> None:
    controller = await world.controller(discover_every=60)
    told = Told(controller)
    async with controller:
        async with world.device("hall") as hall:
            await hall.say()
            await controller.wait_for("hall", timeout=SOON)
            await stop(hall)
            await told.until("offline")
        async with world.device("hall") as hall:
            await hall.say()
            await told.until("online")
        await told.until("lost")
        world.server.drop(HOUSE, back_after=None)
        await told.until("unknown")
    assert told.states == ["online", "offline", "online", "lost", "unknown"]
    assert [change.why for _, change in told.changes] == [
        "presence",
        "it stopped",
        "presence",
        "its session ended without a goodbye",
        "our own link is down",
    ]


@pytest.mark.parametrize("after", [0.3, None])
async def test_a_restart_of_the_server_loses_only_who_does_not_come_back(
    world: World, monkeypatch: pytest.MonkeyPatch, after: float | None
) -> None:
    monkeypatch.setattr(session_module, "SETTLE", 0.05)
    controller = await world.controller(discover_every=60)
    told = Told(controller)
    presences: list[bool] = []

    @controller.on_presence
    async def presence_came(_device: Device, presence: Presence) -> None:
        presences.append(presence.available)

    async with controller, world.device("hall") as hall:
        await hall.say(heartbeat=0.2)
        await told.until("online")
        world.server.drop(HOUSE, back_after=0.1)
        world.server.drop(hall.link.jid.partition("/")[0], back_after=after)
        began = time.monotonic()
        await told.until("unknown")
        if after is None:
            change = await told.until("lost")
            assert change.why.startswith("not back")
            assert 0.1 + 3 * 0.2 + 0.2 <= time.monotonic() - began < 1.5
            await until(lambda: presences[-1:] == [False])
        else:
            await told.until("online")
            assert False not in presences
    assert [state for state in told.states if state != "stale"][:3] == [
        "online",
        "unknown",
        "lost" if after is None else "online",
    ]


async def stop(hall: PlayedDevice) -> None:
    status = DeviceStatus(why="stop", heartbeat=30, uptime=1, version="0.1.0")
    await hall.link.announce(Presence(available=False, extensions=(status.element(),)))


async def test_each_change_is_a_row_in_the_history(world: World, tmp_path: Path) -> None:
    controller = await world.controller(store=f"sqlite:///{tmp_path}/store.db")
    async with controller:
        async with world.device("hall") as hall:
            await hall.say()
            await controller.wait_for("hall", timeout=SOON)
        await controller.wait_for("hall", state="lost", timeout=SOON)
    database = sqlite3.connect(tmp_path / "store.db")
    try:
        rows = database.execute(
            "SELECT name, state, why, time FROM iotxmpp_liveness JOIN iotxmpp_devices"
            " ON iotxmpp_devices.id = device_id ORDER BY iotxmpp_liveness.id"
        ).fetchall()
    finally:
        database.close()
    assert [row[:3] for row in rows] == [
        ("hall", "online", "presence"),
        ("hall", "lost", "its session ended without a goodbye"),
    ]
    assert all(abs(row[3] - time.time()) < 10 for row in rows)


async def test_a_device_that_flaps_is_counted_and_its_handlers_are_spared(world: World) -> None:
    controller = await world.controller()
    told = Told(controller)
    async with controller:
        for _ in range(10):
            async with world.device("hall", describe=False) as hall:
                await hall.say()
                await until(lambda: bool(controller.device("hall").sessions.there))
            await until(lambda: not controller.device("hall").sessions.there)
        text = controller.metrics.text()
    assert len(told.changes) <= rules.FLAPS + 2
    (line,) = (each for each in text.splitlines() if each.startswith('iotxmpp_flaps_total{device="hall"}'))
    assert float(line.split()[1]) >= 10


def pings() -> int:
    """Pings under way, of devices and of our server; and who watches the time."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert names.count("iotxmpp liveness") == 1
    return sum(name.startswith("iotxmpp ping d") for name in names)


async def test_a_thousand_devices_cost_no_task_each(world: World) -> None:
    names = [f"d{number}" for number in range(1000)]
    controller = await world.controller(devices=names)
    async with controller:
        for name in names:
            device = controller.device(name)
            status = Presence(sender=f"{name}@localhost/a", extensions=(_status(BEAT),))
            controller._running().registry.take(status)
            assert device.state == "online"
        assert pings() == 0
        most = 0
        while any(controller.device(name).state != "lost" for name in names):
            most = max(most, pings())
            await asyncio.sleep(0.001)
        assert 0 < most <= module.PINGS_AT_ONCE


def _status(heartbeat: float) -> Element:
    return DeviceStatus(heartbeat=heartbeat, uptime=1, version="0.1.0").element()


async def test_handlers_are_checked_when_they_are_declared(world: World) -> None:
    controller = await world.controller()
    seen: list[str] = []

    @controller.on_liveness
    def plain(device: Device) -> None:
        seen.append(device.state)

    with pytest.raises(InvalidError, match="first parameter must be device"):

        @controller.on_liveness
        def wrong(change: Change) -> None: ...

    with pytest.raises(InvalidError, match="only 'change: Change' can be given"):

        @controller.on_liveness
        def too_many(device: Device, reading: int) -> None: ...

    async with world.device("hall") as hall, controller:
        await hall.say()
        await until(lambda: seen == ["online"])
    assert plain is not None
