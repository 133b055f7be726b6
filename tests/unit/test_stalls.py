"""A device that was stopped or suspended does not obey what it reads only then."""

import asyncio
import time

import pytest

from iotxmpp.agent.clock import uptime
from iotxmpp.commands import call_element, read_reply
from iotxmpp.errors import StanzaError
from iotxmpp.link import Message
from iotxmpp.serving import stalls
from iotxmpp.serving.chat import ChatDoor
from iotxmpp.serving.stalls import BACKLOG, STALLED, Stalls, within_of
from tests.unit.person_client import Relay, command, fault, note, session_of
from tests.unit.serving_world import DESK, World


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_stop_is_seen_before_the_next_look_and_for_as_long_as_its_backlog_comes() -> None:
    clock = Clock()
    seen = Stalls(clock)
    seen.start()
    try:
        clock.now += STALLED - 1
        assert seen.away() == 0.0
        clock.now += 75
        assert seen.away() == 75.0
        clock.now += BACKLOG
        assert seen.away() == 75.0
        clock.now += 0.1
        assert seen.away() == 0.0
    finally:
        seen.stop()


async def test_two_stops_with_little_between_are_one() -> None:
    clock = Clock()
    seen = Stalls(clock)
    seen.start()
    clock.now += 20
    assert seen.away() == 20.0
    clock.now += 1
    assert seen.away() == 20.0
    clock.now += 20
    assert seen.away() == 40.0
    seen.stop()
    clock.now += 100
    assert seen.away() == 0.0


async def test_a_loop_that_stood_still_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "EVERY", 0.01)
    monkeypatch.setattr(stalls, "STALLED", 0.2)
    seen = Stalls(uptime)
    seen.start()
    await asyncio.sleep(0.05)
    assert seen.away() == 0.0
    time.sleep(0.3)  # noqa: ASYNC251  # the very thing
    await asyncio.sleep(0.02)
    assert 0.3 <= seen.away() < 3.0
    seen.stop()


@pytest.mark.parametrize(
    ("given", "within"), [((0.0, None, None), None), ((75.0, None, None), -45.0), ((75.0, 9.0, None), None)]
)
def test_a_call_that_says_when_it_expires_is_held_to_that(
    given: tuple[float, float | None, float | None], within: float | None
) -> None:
    assert within_of(*given) == within


def stopped(relay: Relay, seconds: float) -> World:
    world = World(relay.switch)
    world.serve(away=lambda: seconds)
    return world


async def test_a_form_that_waited_is_shown_again_and_not_carried_out(relay: Relay) -> None:
    world = stopped(relay, 75.0)
    shown = await world.ask(command("execute", channel="2", on="1"))
    kind, text = note(shown)
    assert (kind, text) == ("error", "I was away for 75 s, so nothing was done; ask again.")
    assert relay.switched == []
    world.executor.away = lambda: 0.0
    await world.ask(command("complete", session_of(shown), channel="2", on="1"))
    assert relay.switched == [(2, True)]


async def test_a_command_without_a_form_is_refused() -> None:
    world = World(lambda: "pong", name="ping")
    world.serve(away=lambda: 75.0)
    refused = await fault(world, command("execute", name="ping"))
    assert "away for 75 s" in refused.text


async def test_a_programs_call_without_an_expiry_is_refused_and_one_with_is_not(relay: Relay) -> None:
    world = stopped(relay, 75.0)
    with pytest.raises(StanzaError, match="expired"):
        await world.ask(call_element("switch", {}, id="1"))
    assert relay.switched == []
    assert read_reply(await world.ask(call_element("switch", {}, id="2", expires=1010.0, within=10.0)))


@pytest.mark.parametrize(("seconds", "ran"), [(75.0, 0), (20.0, 1)])
async def test_what_was_written_meanwhile_is_not_obeyed(relay: Relay, seconds: float, ran: int) -> None:
    world = World(relay.switch)
    door = ChatDoor(
        world.commands,
        world.access,
        world.executor,
        device="greenhouse",
        status=lambda: "online",
        records=world.executor.records,
        away=lambda: seconds,
    )
    said = await door.take(Message(sender=DESK, text="switch on=true", id="1"))
    assert len(relay.switched) == ran
    assert said is not None
    assert ("I was away for 75 s" in said) is not bool(ran)
    assert await door.take(Message(sender=DESK, text="status", id="2")) == "online"
