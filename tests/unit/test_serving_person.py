"""The person's door: forms, pages, and what goes wrong with them."""

from typing import Literal

import pytest

from iotxmpp.commands import COMMANDS_NAMESPACE
from iotxmpp.errors import ArgumentsError
from iotxmpp.payloads import JSON_TAG
from tests.unit.person_client import FORM, Relay, actions, command, fault, fields, note, session_of
from tests.unit.serving_world import STRANGER, World


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


async def test_a_failure_is_told_as_a_note() -> None:
    def stuck() -> None:
        raise OSError("the valve sticks")

    failed = await World(stuck).ask(command("execute", name="stuck"))
    assert failed.get("status") == "completed"
    assert note(failed) == ("error", "OSError: the valve sticks")


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
