"""From what a device publishes to the store, the handlers and its acks."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.controller import Controller, Store
from iotxmpp.controller import acks as acks_module
from iotxmpp.controller import teller as teller_module
from iotxmpp.controller.store import Taken
from iotxmpp.controller.store.taking import Taker
from iotxmpp.delivery import ACK_TAG, Ack, Gap, parse_ack
from iotxmpp.errors import StoreError, stanza_error
from iotxmpp.link import Presence, Request
from iotxmpp.readings import Reading
from tests.store.samples import numbers, stored
from tests.unit.controller_world import HOUSE, SOON, PlayedDevice, World, account, pack, until


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teller_module, "EVERY", 0.01)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.add("hall")
    yield world
    await world.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'controller.db'}"


@dataclass
class Heard:
    """What a played device was told."""

    acks: list[Ack] = field(default_factory=list)
    refuse: str = ""

    def serve(self, device: PlayedDevice) -> "Heard":
        device.link.serve(ACK_TAG, self._take)
        return self

    async def _take(self, request: Request) -> Element | None:
        assert request.kind == "set"
        self.acks.append(parse_ack(request.payload))
        if self.refuse:
            raise stanza_error(self.refuse, "as the test wants")
        return None

    @property
    def upto(self) -> dict[str, int]:
        """What is acknowledged by now."""
        return {epoch: seq for ack in self.acks for epoch, seq in ack.upto.items()}

    @property
    def again(self) -> int:
        return sum(ack.again for ack in self.acks)


def run(first: int, last: int, *, age: float = 0.0) -> Element:
    """A pack of these numbers, each with its number for a value, a millisecond apart."""
    records: list[dict[str, object]] = [
        {"n": "count", "v": seq, "t": seq / 1000} for seq in range(first, last + 1)
    ]
    return pack("hall", *records, at=time.time() - 1 - age)


async def send(device: PlayedDevice, first: int, last: int, *, epoch: str = "e1", age: float = 0.0) -> None:
    await device.publish(run(first, last, age=age), item_id=f"{epoch}.{first}")


def counting(controller: Controller, *, historical: bool = False) -> list[int]:
    seen: list[int] = []

    @controller.on_reading("count", historical=historical)
    async def take(reading: Reading) -> None:
        assert reading.received is not None
        seen.append(int(reading.value))

    return seen


async def test_what_is_stored_is_acknowledged_and_given_to_handlers_once(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await send(hall, 1, 3)
        await until(lambda: heard.upto == {"e1": 3})
        await send(hall, 1, 3)
        await send(hall, 2, 5)
        await until(lambda: heard.upto == {"e1": 5})
        text = controller.metrics.text()
        assert controller.device("hall").readings["count"].value == 5
    assert seen == [1, 2, 3, 4, 5]
    store = Store(url)
    assert numbers(store) == [1, 2, 3, 4, 5]
    store.close()
    assert 'iotxmpp_duplicates_total{device="hall"} 5.0' in text
    assert 'iotxmpp_readings_total{device="hall"} 5.0' in text
    assert 'iotxmpp_acks_total{outcome="sent"}' in text


async def test_a_new_session_of_the_device_is_asked_for_what_it_holds(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with controller:
        async with world.device("hall") as hall:
            heard = Heard().serve(hall)
            await hall.say(why="start")
            await until(lambda: heard.again == 1)
            await send(hall, 1, 2)
            await until(lambda: heard.upto == {"e1": 2})
            await hall.say(why="heartbeat", uptime=30)
            await send(hall, 3, 3)
            await until(lambda: heard.upto == {"e1": 3})
            assert heard.again == 1
            await hall.say(why="start", uptime=0)
            await until(lambda: heard.again == 2)
        async with world.device("hall") as hall:
            heard = Heard().serve(hall)
            await hall.say(why="start")
            await until(lambda: heard.again == 1)
            assert heard.acks[0].upto == {"e1": 3}


async def test_an_ack_that_failed_is_sent_again_with_the_next_presence(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await until(lambda: heard.again == 1)
        heard.refuse = "service-unavailable"
        await send(hall, 1, 2)
        await until(lambda: heard.upto == {"e1": 2})
        heard.refuse, before = "", len(heard.acks)
        await hall.say(why="heartbeat", uptime=30)
        await until(lambda: len(heard.acks) > before)
        assert heard.acks[-1].upto == {"e1": 2}


async def test_news_during_an_ack_that_fails_are_told_after_it(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        asked, fails = asyncio.Event(), asyncio.Event()
        heard = Heard()

        async def dying(request: Request) -> Element | None:
            asked.set()
            await fails.wait()
            raise stanza_error("service-unavailable", "its process is gone")

        cancel = hall.link.serve(ACK_TAG, dying)
        await hall.say(why="start", uptime=5)
        await asyncio.wait_for(asked.wait(), SOON)
        await hall.say(why="start", uptime=0)
        await until(lambda: controller.device("hall").sessions.current is not None)
        await send(hall, 1, 2)
        await until(lambda: controller.device("hall").readings != {})
        cancel()
        heard.serve(hall)
        fails.set()
        await until(lambda: heard.again == 1 and heard.upto == {"e1": 2})


async def test_a_new_session_of_the_controller_asks_everybody(world: World, url: str) -> None:
    async with world.device("hall") as hall:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        async with await world.controller(store=url):
            await until(lambda: heard.again == 1)
            await send(hall, 1, 2)
            await until(lambda: heard.upto == {"e1": 2})
        async with await world.controller(store=url):
            await until(lambda: heard.again == 2)
            assert [ack for ack in heard.acks if ack.again][-1].upto == {"e1": 2}


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


async def test_a_device_with_another_collector_is_left_alone(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard(refuse="forbidden").serve(hall)
        for number in range(1, 5):
            await send(hall, number, number)
            await until(lambda: len(seen) == number)  # noqa: B023  # awaited in this turn
        await until(lambda: heard.acks)
        await asyncio.sleep(0.05)
        assert len(heard.acks) == 1
    assert caplog.text.count("has another collector") == 1


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


async def test_one_that_only_watches_neither_stores_nor_acknowledges(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "state"))
    controller = await world.controller(store=None, collects=False)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await send(hall, 8, 9)
        await send(hall, 8, 9)
        await send(hall, 9, 10)
        await hall.publish(pack("hall", {"n": "gravity", "v": 1}), item_id="e1.11")
        await until(lambda: seen == [8, 9, 10])
        await until(lambda: "iotxmpp_rejected_total" in controller.metrics.text())
        assert await controller.rejections() == []
        assert heard.acks == []
    assert not (tmp_path / "state").exists()


async def test_while_the_store_fails_there_is_neither_ack_nor_call(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    real, failing = Taker.take, True

    def take(taker: Taker, batch: object) -> list[Taken]:
        if failing:
            raise StoreError("no space left")
        return real(taker, batch)  # type: ignore[arg-type]  # a batch

    monkeypatch.setattr(Taker, "take", take)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await send(hall, 1, 3)
        await until(lambda: "iotxmpp_store_failures_total 1.0" in controller.metrics.text())
        assert seen == []
        assert controller.device("hall").readings == {}
        assert heard.upto == {}
        failing = False
        await until(lambda: seen == [1, 2, 3])
        await until(lambda: heard.upto == {"e1": 3})


async def test_two_devices_with_one_account_are_noticed(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        for turn in range(1, 4):
            for epoch in ("e1", "e2"):
                at = time.time()
                await hall.publish(pack("hall", {"n": "count", "v": turn}, at=at), item_id=f"{epoch}.{turn}")
                await asyncio.sleep(0.002)
        await until(lambda: len(seen) == 6)
        assert 'iotxmpp_clones_total{device="hall"} 1.0' in controller.metrics.text()
    assert caplog.text.count("two devices use this account") == 1
    store = Store(url)
    assert [row[:3] for row in stored(store)] == [
        ("hall", epoch, seq) for epoch in ("e1", "e2") for seq in (1, 2, 3)
    ]
    store.close()


async def test_two_agents_of_one_account_are_both_told(world: World, url: str) -> None:
    """Two copies of one card: neither may fill its outbox because only the other one is told."""
    controller = await world.controller(store=url)
    async with world.device("hall") as one, world.device("hall") as two, controller:
        heard = Heard().serve(one), Heard().serve(two)
        await one.say(why="start")
        await two.say(why="start")
        await until(lambda: [each.again for each in heard] == [1, 1])
        for turn in range(1, 4):
            await send(one, turn, turn, epoch="e1")
            await send(two, turn, turn, epoch="e2")
            await one.say(why="heartbeat", uptime=10 * turn)
        await until(lambda: [each.upto for each in heard] == [{"e1": 3, "e2": 3}] * 2)
        await two.say(why="start", uptime=0)
        await until(lambda: heard[1].again == 2)
        assert heard[0].again == 1, "only the one that began anew is asked"
        count = [len(each.acks) for each in heard]
        await asyncio.sleep(0.1)
        assert [len(each.acks) for each in heard] == count, "nothing is told that has not changed"


async def test_a_session_that_does_not_answer_holds_up_no_other(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, world.device("hall") as dead, controller:
        asked = asyncio.Event()

        async def never(_request: Request) -> None:
            asked.set()
            await asyncio.Event().wait()

        dead.link.serve(ACK_TAG, never)
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await dead.say(why="start")
        await asyncio.wait_for(asked.wait(), SOON)
        await send(hall, 1, 3)
        await until(lambda: heard.upto == {"e1": 3})


async def test_a_person_in_the_devices_account_is_told_nothing(world: World, url: str) -> None:
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, world.device("hall") as person, controller:
        heard, overheard = Heard().serve(hall), Heard().serve(person)
        await hall.say(why="start")
        await until(lambda: heard.again == 1)
        await person.link.announce(Presence(text="looking around"))
        await until(lambda: len(controller.device("hall").sessions.there) == 2)
        await send(hall, 1, 3)
        await until(lambda: heard.upto == {"e1": 3})
        assert overheard.acks == []


CRASHING = """
import asyncio, sys
from tests.unit.controller_world import World, temperature
from tests.unit.test_controller_delivery import Heard, send

async def main(url):
    world = World()
    await world.add("hall")
    controller = await world.controller(store=url)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await send(hall, 1, 5)
        while heard.upto.get("e1") != 5:
            await asyncio.sleep(0.01)
        print("acknowledged", flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def test_killed_between_storing_and_acknowledging_nothing_is_lost_nor_doubled(
    world: World, url: str
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", CRASHING, url],
        env={**os.environ, "IOTXMPP_CRASH_AT": "stored", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (-9, ""), done.stderr
    store = Store(url)
    assert numbers(store) == [1, 2, 3, 4, 5]
    controller = await world.controller(store=url)
    seen = counting(controller)
    async with world.device("hall") as hall, controller:
        heard = Heard().serve(hall)
        await hall.say(why="start")
        await until(lambda: heard.again == 1)
        assert heard.acks[0].upto == {"e1": 5}
        await send(hall, 1, 6)
        await until(lambda: heard.upto == {"e1": 6})
        await until(lambda: seen == [6])
    assert numbers(store) == [1, 2, 3, 4, 5, 6]
    store.close()


async def test_a_stranger_is_no_part_of_it(world: World, url: str) -> None:
    """An account that is no device may be present and is never asked for anything."""
    await world.server.create_account("mallory@localhost", "secret")
    async with await world.controller(store=url), world.server.link(account("mallory@localhost")) as mallory:
        calls: list[Request] = []

        async def take(request: Request) -> None:
            calls.append(request)

        mallory.serve(ACK_TAG, take)
        await mallory.follow(HOUSE)
        async with world.device("hall") as hall:
            heard = Heard().serve(hall)
            await send(hall, 1, 1)
            await until(lambda: heard.upto == {"e1": 1}, SOON)
        assert calls == []
