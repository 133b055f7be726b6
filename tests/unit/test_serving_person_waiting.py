"""Long commands at the person's door, and how many sessions it keeps."""

import asyncio

import pytest

from iotxmpp import progress
from iotxmpp.commands import Outcome
from iotxmpp.errors import ArgumentsError, StanzaError
from iotxmpp.serving import person, sessions
from iotxmpp.serving.person import PersonDoor
from iotxmpp.serving.sessions import Sessions
from tests.unit.person_client import Relay, actions, command, fault, note, session_of
from tests.unit.serving_world import DESK, World


@pytest.fixture
def world(relay: Relay) -> World:
    return World(relay.switch, title="Switch a relay")


def patient(world: World, patience: float) -> None:
    world.server._door = PersonDoor(world.executor, patience=patience)


async def test_a_long_command_is_polled() -> None:
    release = asyncio.Event()

    async def slow() -> str:
        progress(0.5, "half way")
        await release.wait()
        return "over"

    world = World(slow)
    patient(world, 0.02)
    running = await world.ask(command("execute", name="slow"))
    session = session_of(running)
    assert actions(running) == ("next", {"next"})
    assert note(running) == ("info", "still running, 50%: half way")
    assert note(await world.ask(command("next", session, name="slow")))[1].startswith("still running")
    refused = await fault(world, command("cancel", session, name="slow"))
    assert "too late" in refused.text
    release.set()
    assert note(await world.ask(command("next", session, name="slow"))) == ("info", "over")
    assert world.sent == []  # a person's client knows no progress


async def test_a_submitted_command_that_waits_is_cancelled() -> None:
    release = asyncio.Event()
    ran: list[int] = []

    async def slow() -> None:
        ran.append(1)
        await release.wait()

    world = World(slow)
    patient(world, 0.02)
    first = session_of(await world.ask(command("execute", name="slow")))
    second = await world.ask(command("execute", name="slow"))
    assert note(second) == ("info", "waiting for other commands")
    cancelled = await world.ask(command("cancel", session_of(second), name="slow"))
    assert cancelled.get("status") == "canceled"
    release.set()
    assert (await world.ask(command("next", first, name="slow"))).get("status") == "completed"
    assert ran == [1]


async def test_sessions_are_few_and_short(world: World) -> None:
    clock = [0.0]
    kept = Sessions(now=lambda: clock[0])
    world.server._door = PersonDoor(world.executor, sessions=kept)
    first = session_of(await world.ask(command("execute")))
    for _ in range(sessions.MOST_EACH):
        await world.ask(command("execute"))
    assert len(kept) == sessions.MOST_EACH
    assert (await fault(world, command("complete", first, channel="1"))).condition == "bad-request"
    for number in range(sessions.MOST):  # other sessions of the same account
        await world.ask(command("execute"), f"house@example.org/{number}")
    assert len(kept) == sessions.MOST_EACH
    clock[0] = sessions.LASTING + 1
    await world.ask(command("execute"))
    assert len(kept) == 1


async def test_nobody_is_locked_out_by_sessions_of_others() -> None:
    clock = [0.0]
    kept = Sessions(now=lambda: clock[0])
    accounts = sessions.MOST // sessions.MOST_EACH
    for number in range(sessions.MOST):
        clock[0] += 1
        kept.start(f"a{number % accounts}@example.org/{number}", str(number), "switch")
    assert len(kept) == sessions.MOST
    kept.start("late@example.org/1", "late", "switch")
    assert len(kept) == sessions.MOST
    assert kept.find("a0@example.org/0", "0", "switch") is None  # it was left longest
    assert kept.find("a1@example.org/1", "1", "switch") is not None


async def test_forms_that_were_submitted_take_no_place(world: World, relay: Relay) -> None:
    kept = Sessions(now=lambda: 0.0)
    world.server._door = PersonDoor(world.executor, sessions=kept)
    shown = session_of(await world.ask(command("execute")))
    for number in range(2 * sessions.MOST_OVER):
        await world.ask(command("execute", channel="2"), f"house@example.org/{number}")
    last = session_of(await world.ask(command("execute")))
    assert len(kept) == sessions.MOST_OVER + 2
    for session in (shown, last):
        assert (await world.ask(command("complete", session, channel="1"))).get("status") == "completed"
    assert len(relay.switched) == 2 * sessions.MOST_OVER + 2


async def test_whose_commands_all_run_opens_no_more() -> None:
    kept = Sessions(now=lambda: 0.0)
    release = asyncio.Event()

    async def act() -> Outcome:
        await release.wait()
        return Outcome(kind="done", result_json="1")

    for number in range(sessions.MOST_EACH):
        kept.start(DESK, str(number), "switch").call = asyncio.create_task(act())
    with pytest.raises(StanzaError) as caught:
        kept.start(DESK, "one more", "switch")
    assert caught.value.condition == "resource-constraint"
    kept.start("other@example.org/1", "one", "switch")
    release.set()
    await asyncio.sleep(0.01)
    kept.start(DESK, "one more", "switch")


async def test_a_form_submitted_twice_at_once_and_refused_can_be_submitted_again() -> None:
    release = asyncio.Event()
    ran: list[int] = []

    async def switch(channel: int = 1) -> str:
        ran.append(channel)
        await release.wait()
        if len(ran) == 1:
            raise ArgumentsError("channel: this board has 2")
        return "switched"

    world = World(switch)
    session = session_of(await world.ask(command("execute")))
    twice = [asyncio.create_task(world.ask(command("complete", session, channel="3"))) for _ in range(2)]
    await asyncio.sleep(0.01)
    release.set()
    assert [note(each) for each in await asyncio.gather(*twice)] == 2 * [
        ("error", "channel: this board has 2")
    ]
    assert note(await world.ask(command("complete", session, channel="3"))) == ("info", "switched")
    assert ran == [3, 3]
    assert {entry.id for entry in world.audit.entries} == {session, f"{session}-1"}


async def test_a_submitted_form_waits_for_a_minute_and_can_be_submitted_again() -> None:
    release = asyncio.Event()

    async def slow(channel: int = 1) -> int:
        await release.wait()
        return channel

    world = World(slow)
    patient(world, 0.02)
    session_of(await world.ask(command("execute", name="slow", channel="1")))
    session = session_of(await world.ask(command("execute", name="slow")))
    assert note(await world.ask(command("complete", session, name="slow", channel="2")))[1].startswith(
        "waiting"
    )
    world.steady += person.WITHIN + 1
    release.set()
    late = await fault(world, command("next", session, name="slow"))
    assert (late.condition, late.text) == ("not-acceptable", "slow came too late, and was not started")
    again = await world.ask(command("complete", session, name="slow", channel="2"))
    assert again.get("status") == "completed"
