"""Commands with a time to live: they wait, go in order, and end in one state each."""

import asyncio
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.commands import (
    COMMAND_TAG,
    CommandCall,
    expired_error,
    failure_element,
    parse_call,
    started_element,
)
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
    stanza_error,
)
from iotxmpp.link import Request
from tests.unit.controller_world import SOON, about_of
from tests.unit.queue_case import Case, Journaled, describes

# The way of a command that goes well.


async def test_a_device_that_is_there_answers_at_once(case: Case) -> None:
    device = Journaled(case.played).serve()
    assert await case.device.call("water", ttl="6h", seconds=20) == {"seconds": 20}
    (command,) = await case.controller.commands()
    assert (command.state, command.sent, command.result) == ("done", 1, {"seconds": 20})
    (call,) = device.calls
    assert call.id == command.id
    assert call.expires == pytest.approx(command.expires, abs=0.002)
    assert call.within == pytest.approx(6 * 3600, abs=5)
    assert (call.by, call.machine) == ("", True)
    assert case.metric('iotxmpp_commands_total{state="done"}') == 1
    assert case.metric("iotxmpp_commands_queued") == 0


async def test_a_command_waits_for_a_device_that_is_offline(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    ticket = await case.device.queue("water", {"n": 1}, ttl=60, by="ann@example.org")
    await asyncio.sleep(0.05)
    assert (ticket.state, device.calls) == ("queued", [])
    assert case.metric("iotxmpp_commands_queued") == 1
    await case.there()
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}
    assert await case.states() == ["done"]
    assert device.calls[0].by == "ann@example.org"


async def test_a_command_waits_for_a_device_that_sleeps(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.sleep()
    ticket = await case.device.queue("water", ttl=60)
    await asyncio.sleep(0.05)
    assert (ticket.state, device.calls) == ("queued", [])
    await case.there()
    await asyncio.wait_for(ticket.result(), SOON)


async def test_commands_of_a_device_go_in_order_one_at_a_time(case: Case) -> None:
    device = Journaled(case.played).serve()
    running = 0

    async def alone(_call: CommandCall) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.002)
        running -= 1

    device.before = alone
    await case.away()
    tickets = [await case.device.queue("water", {"n": number}, ttl=60) for number in range(20)]
    await case.there()
    await asyncio.gather(*(ticket.result() for ticket in tickets))
    assert device.ran == list(range(20))


async def test_one_device_does_not_hold_up_another(case: Case) -> None:
    await case.world.add("barn")
    await case.away()
    await case.device.queue("water", ttl=60)
    async with case.world.device("barn") as barn:
        await barn.describe(about_of("barn", commands=describes()))
        Journaled(barn).serve()
        await barn.say(outbox="disk")
        case.controller._running()._discovery.hurry("barn")  # type: ignore[arg-type]  # an id by its form
        other = await case.controller.wait_for("barn", timeout=SOON)
        assert await asyncio.wait_for(other.call("water", ttl=60, n=1), SOON) == {"n": 1}


async def test_without_a_ttl_nothing_waits(case: Case) -> None:
    await case.away()
    with pytest.raises(CommandError, match="command water was not sent"):
        await case.device.call("water")
    assert await case.controller.commands() == []


# What becomes of it otherwise.


REFUSALS: list[tuple[StanzaError, type[Exception], str]] = [
    (stanza_error("forbidden", "no"), NotAllowedError, "not-allowed"),
    (stanza_error("item-not-found", "no command water"), UnknownCommandError, "unknown-command"),
    (
        stanza_error("bad-request", "seconds", "{http://jabber.org/protocol/commands}bad-payload"),
        ArgumentsError,
        "wrong-arguments",
    ),
    (stanza_error("not-acceptable", "never"), CommandError, "refused"),
]


@pytest.mark.parametrize(("refusal", "error", "reason"), REFUSALS)
async def test_a_refusal_rejects_it(
    case: Case, refusal: StanzaError, error: type[Exception], reason: str
) -> None:
    case.answers(refusal)
    with pytest.raises(error, match="command water of hall"):
        await case.device.call("water", ttl=60)
    (command,) = await case.controller.commands()
    assert (command.state, command.reason) == ("rejected", reason)


async def test_a_failure_and_an_unknown_end_are_told_apart(case: Case) -> None:
    async def serve(request: Request) -> Element:
        call = parse_call(request.payload)
        stuck = (call.arguments_json or "").find("stuck") >= 0
        return failure_element(call, "the valve is stuck") if stuck else started_element(call)

    case.played.link.serve(COMMAND_TAG, serve)
    with pytest.raises(CommandFailedError, match="the valve is stuck"):
        await case.device.call("water", ttl=60, why="stuck")
    with pytest.raises(CommandUnknownError):
        await case.device.call("water", ttl=60)
    assert await case.states() == ["failed", "unknown"]


async def test_a_session_that_serves_no_commands_rejects_it(case: Case) -> None:
    with pytest.raises(CommandError, match="takes no commands"):
        await asyncio.wait_for(case.device.call("water", ttl=60), SOON)
    assert await case.states() == ["rejected"]


async def test_a_busy_device_is_asked_again(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def busy_at_first(_call: CommandCall) -> None:
        if len(device.calls) < 3:
            raise stanza_error("resource-constraint", "busy")

    device.before = busy_at_first
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON) == {"n": 1}
    assert device.ran == [1]


async def test_one_that_is_never_sent_expires_also_behind_another(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    first = await case.device.queue("water", {"n": 1}, ttl=60)
    second = await case.device.queue("water", {"n": 2}, ttl=0.1)
    with pytest.raises(CommandExpiredError, match="never sent"):
        await asyncio.wait_for(second.result(), SOON)
    assert (first.state, second.state) == ("queued", "expired")
    await case.there()
    await first.result()
    assert device.ran == [1]


async def test_the_device_may_say_that_it_expired(case: Case) -> None:
    call = CommandCall(name="water", arguments_json=None, id="x", expires=0.0)
    case.answers(expired_error(call))
    with pytest.raises(CommandExpiredError):
        await case.device.call("water", ttl=60)
    assert await case.states() == ["expired"]


async def test_a_busy_device_lets_it_expire_and_nothing_is_in_doubt(case: Case) -> None:
    case.answers(stanza_error("resource-constraint", "busy"))
    with pytest.raises(CommandExpiredError, match="was not started"):
        await asyncio.wait_for(case.device.call("water", ttl=0.2), SOON)
