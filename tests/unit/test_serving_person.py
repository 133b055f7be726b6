"""The person's door: forms, pages, and what goes wrong with them."""

import asyncio
from typing import Annotated, Literal
from xml.etree.ElementTree import Element, SubElement

import pytest
from pydantic import Field

from iotxmpp import progress
from iotxmpp.commands import COMMAND_TAG, COMMANDS_NAMESPACE, Outcome
from iotxmpp.errors import ArgumentsError, StanzaError
from iotxmpp.payloads import JSON_TAG
from iotxmpp.serving import person, sessions
from iotxmpp.serving.person import PersonDoor
from iotxmpp.serving.sessions import Sessions
from tests.unit.serving_world import DESK, STRANGER, World

FORM = "{jabber:x:data}x"
Channel = Annotated[int, Field(ge=1, le=4, title="Channel")]


class Relay:
    """Switches, and remembers."""

    def __init__(self) -> None:
        self.switched: list[tuple[int, bool]] = []

    def switch(self, channel: Channel = 1, on: bool = True) -> dict[str, object]:
        """Switches a channel."""
        self.switched.append((channel, on))
        return {"channel": channel, "on": on}


def command(action: str | None = None, session: str = "", *, name: str = "switch", **values: str) -> Element:
    """What a person's client sends."""
    element = Element(COMMAND_TAG, {"node": name})
    if action is not None:
        element.set("action", action)
    if session:
        element.set("sessionid", session)
    if values:
        form = SubElement(element, FORM, {"type": "submit"})
        for var, value in values.items():
            field = SubElement(form, "{jabber:x:data}field", {"var": var})
            SubElement(field, "{jabber:x:data}value").text = value
    return element


def session_of(answer: Element) -> str:
    assert answer.get("status") == "executing"
    return answer.get("sessionid", "")


def fields(answer: Element) -> dict[str, str]:
    """The form's fields with their values."""
    form = answer.find(FORM)
    assert form is not None
    return {
        each.get("var", ""): each.findtext("{jabber:x:data}value", "")
        for each in form.findall("{jabber:x:data}field")
        if each.get("var")
    }


def actions(answer: Element) -> tuple[str | None, set[str]]:
    found = answer.find(f"{{{COMMANDS_NAMESPACE}}}actions")
    assert found is not None
    return found.get("execute"), {each.tag.partition("}")[2] for each in found}


def note(answer: Element) -> tuple[str | None, str]:
    found = answer.find(f"{{{COMMANDS_NAMESPACE}}}note")
    return (None, "") if found is None else (found.get("type"), found.text or "")


async def fault(world: World, element: Element, sender: str = DESK) -> StanzaError:
    with pytest.raises(StanzaError) as caught:
        await world.ask(element, sender)
    return caught.value


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
def world(relay: Relay) -> World:
    return World(relay.switch, title="Switch a relay")


@pytest.mark.parametrize("action", ["complete", "execute", None])
async def test_a_form_is_shown_and_submitted(world: World, relay: Relay, action: str | None) -> None:
    shown = await world.ask(command("execute"))
    assert fields(shown) == {"channel": "1", "on": "1"}
    assert actions(shown) == ("complete", {"complete"})
    done = await world.ask(command(action, session_of(shown), channel="3", on="0"))
    assert (done.get("status"), done.get("sessionid")) == ("completed", shown.get("sessionid"))
    assert fields(done) == {"channel": "3", "on": "0"}
    assert note(done) == ("info", "done")
    assert done.find(JSON_TAG) is None
    assert relay.switched == [(3, False)]
    assert {entry.door for entry in world.audit.entries} == {"form"}


async def test_a_command_without_arguments_runs_at_once() -> None:
    done = await World(lambda: "pong", name="ping").ask(command("execute", name="ping"))
    assert done.get("status") == "completed"
    assert note(done) == ("info", "pong")


async def test_everything_at_once_needs_no_form_before(world: World, relay: Relay) -> None:
    done = await world.ask(command("execute", channel="2", on="1"))
    assert done.get("status") == "completed"
    assert relay.switched == [(2, True)]


async def test_a_wrong_value_shows_the_form_again(world: World, relay: Relay) -> None:
    session = session_of(await world.ask(command("execute")))
    again = await world.ask(command("complete", session, channel="9", on="1"))
    assert session_of(again) == session
    kind, text = note(again)
    assert kind == "error"
    assert "channel" in text.lower()
    assert fields(again)["channel"] == "9"
    assert relay.switched == []
    await world.ask(command("complete", session, channel="4", on="1"))
    assert relay.switched == [(4, True)]


async def test_a_drivers_own_check_shows_the_form_again_and_nothing_is_lost() -> None:
    ran: list[int] = []

    def switch(channel: int = 1) -> None:
        ran.append(channel)
        if channel > 2:
            raise ArgumentsError("channel: this board has 2")

    world = World(switch)
    session = session_of(await world.ask(command("execute")))
    assert note(await world.ask(command("complete", session, channel="3"))) == (
        "error",
        "channel: this board has 2",
    )
    assert (await world.ask(command("complete", session, channel="2"))).get("status") == "completed"
    assert ran == [3, 2]


async def test_a_form_that_is_submitted_twice_runs_once(world: World, relay: Relay) -> None:
    session = session_of(await world.ask(command("execute")))
    submitted = command("complete", session, channel="3", on="1")
    answers = [await world.ask(submitted) for _ in range(2)]
    assert fields(answers[0]) == fields(answers[1])
    assert relay.switched == [(3, True)]
    assert (await fault(world, command("complete", session, channel="2", on="1"))).condition == "conflict"
    world.serve()  # all sessions are forgotten; the journal is not
    again = await world.ask(submitted)
    assert fields(again) == fields(answers[0])
    assert relay.switched == [(3, True)]


def paged(relay: Relay) -> World:
    return World(relay.switch, steps=(("channel",), ("on",)))


async def test_pages_go_on_back_and_to_the_end(relay: Relay) -> None:
    world = paged(relay)
    first = await world.ask(command("execute"))
    session = session_of(first)
    assert (fields(first), actions(first)) == ({"channel": "1"}, ("next", {"next"}))
    second = await world.ask(command("next", session, channel="3"))
    assert (set(fields(second)), actions(second)) == ({"on"}, ("complete", {"prev", "complete"}))
    back = await world.ask(command("prev", session, on="0"))
    assert fields(back) == {"channel": "3"}
    forth = await world.ask(command("execute", session, channel="4"))
    assert fields(forth) == {"on": "0"}
    done = await world.ask(command("complete", session, on="0"))
    assert done.get("status") == "completed"
    assert relay.switched == [(4, False)]


@pytest.mark.parametrize("action", ["complete", "prev"])
async def test_a_page_takes_what_it_offers(relay: Relay, action: str) -> None:
    world = paged(relay)
    session = session_of(await world.ask(command("execute")))
    refused = await fault(world, command(action, session, channel="3"))
    assert refused.detail == f"{{{COMMANDS_NAMESPACE}}}bad-action"
    assert relay.switched == []


async def test_a_wrong_value_on_a_page_shows_that_page_again(relay: Relay) -> None:
    world = paged(relay)
    session = session_of(await world.ask(command("execute")))
    again = await world.ask(command("next", session, channel="five"))
    assert note(again)[0] == "error"
    assert fields(again) == {"channel": "five"}


async def test_a_cancelled_session_is_gone(world: World, relay: Relay) -> None:
    session = session_of(await world.ask(command("execute")))
    cancelled = await world.ask(command("cancel", session))
    assert (cancelled.get("status"), cancelled.get("sessionid")) == ("canceled", session)
    refused = await fault(world, command("complete", session, channel="3"))
    assert refused.detail == f"{{{COMMANDS_NAMESPACE}}}bad-sessionid"
    assert relay.switched == []


async def test_a_session_is_its_owners(world: World, relay: Relay) -> None:
    session = session_of(await world.ask(command("execute")))
    other = "house@example.org/other"
    for sender, condition in ((other, "bad-request"), (STRANGER, "forbidden")):
        refused = await fault(world, command("complete", session, channel="3"), sender)
        assert refused.condition == condition
    assert relay.switched == []


@pytest.mark.parametrize("action", ["next", "prev", "cancel"])
async def test_nothing_goes_on_without_a_session(world: World, action: str) -> None:
    assert (await fault(world, command(action))).detail == f"{{{COMMANDS_NAMESPACE}}}bad-sessionid"


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


async def test_a_failure_is_told_as_a_note() -> None:
    def stuck() -> None:
        raise OSError("the valve sticks")

    failed = await World(stuck).ask(command("execute", name="stuck"))
    assert failed.get("status") == "completed"
    assert note(failed) == ("error", "OSError: the valve sticks")


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


async def test_a_mode_of_words_is_chosen_from_a_list() -> None:
    chosen: list[str] = []

    def mode(to: Literal["eco", "full"]) -> None:
        chosen.append(to)

    world = World(mode)
    session = session_of(await world.ask(command("execute", name="mode")))
    assert note(await world.ask(command("complete", session, name="mode")))[0] == "error"
    await world.ask(command("complete", session, name="mode", to="eco"))
    assert chosen == ["eco"]


async def test_a_table_is_told_in_words_too_since_some_clients_show_no_tables() -> None:
    def relays() -> list[dict[str, object]]:
        return [{"channel": 1, "on": True}, {"channel": 2, "on": False}]

    answer = await World(relays).ask(command(name="relays"))
    form = answer.find(FORM)
    assert form is not None
    assert len(form.findall("{jabber:x:data}item")) == 2
    note = answer.findtext(f"{{{COMMANDS_NAMESPACE}}}note")
    assert note == "channel: 1, on: yes\nchannel: 2, on: no"
