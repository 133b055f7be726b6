"""The controller's side of the twin when sending, reports or the store fail."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.errors import InvalidError, NoAnswerError, StoreError, stanza_error
from iotxmpp.link import Request
from tests.unit.controller_world import HOUSE, World, until
from tests.unit.twin_desk import desk, hand, nodes_of, twin_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with twin_world() as world:
        yield world


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


async def test_a_report_that_overtakes_the_answer_counts(world: World) -> None:
    """An answer and a report come by ways of their own: the one that came first may be the newer one."""
    async with hand(world) as device, desk(world) as ours:
        first = asyncio.Event()

        async def loses_all_once(request: Request) -> None:
            await device.take(request)
            if not first.is_set():
                first.set()
                device.lineage, device.version, device.settings = "", 0, {}
                await device.report()
                await asyncio.sleep(0.02)  # the report is there before the answer

        device.serve(loses_all_once)
        await ours.desire(light=20)
        await until(lambda: device.settings == {"light": 20})
        assert [desired.base for desired in device.got] == [0, 0]


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
