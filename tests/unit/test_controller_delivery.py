"""From what a device publishes to the store, the handlers and its acks."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.controller import Store
from iotxmpp.controller.store import Taken
from iotxmpp.controller.store.taking import Taker
from iotxmpp.delivery import ACK_TAG
from iotxmpp.errors import StoreError, stanza_error
from iotxmpp.link import Request
from tests.store.samples import numbers
from tests.unit.controller_world import SOON, World, until
from tests.unit.delivery_world import Heard, counting, send

pytestmark = pytest.mark.usefixtures("quick_acks")


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


CRASHING = """
import asyncio, sys
from tests.unit.controller_world import World, temperature
from tests.unit.delivery_world import Heard, send

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
