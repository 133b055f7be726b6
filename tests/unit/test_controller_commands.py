"""Calling commands of devices, and what can become of it."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.commands import COMMAND_TAG, failure_element, parse_call, result_element
from iotxmpp.controller import Controller, Device
from iotxmpp.controller.calls import _OUTCOMES, outcome_of
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandConflictError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    DeviceAwayError,
    LinkDownError,
    NoAnswerError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
    stanza_error,
)
from iotxmpp.link import Request
from tests.unit.controller_world import HOUSE, SOON, PlayedDevice, World
from tests.unit.documents import TEXTS, rows, section

BAD_PAYLOAD = "{http://jabber.org/protocol/commands}bad-payload"


@dataclass
class Case:
    world: World
    controller: Controller
    played: PlayedDevice
    device: Device

    def answers(self, error: StanzaError | None = None) -> None:
        async def serve(request: Request) -> Element:
            if error is not None:
                raise error
            call = parse_call(request.payload)
            if call.name == "break":
                return failure_element(call, "the valve is stuck")
            return result_element(call, {"got": call.arguments_json, "expires": call.expires is not None})

        self.played.link.serve(COMMAND_TAG, serve)

    def outcomes(self) -> dict[str, float]:
        lines = self.controller.metrics.text().splitlines()
        counts = [line.split() for line in lines if line.startswith("iotxmpp_command_seconds_count")]
        return {name.split("{")[1].rstrip("}"): float(value) for name, value in counts}


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    world = World()
    await world.add("hall")
    async with world.device("hall") as played, await world.controller(discover_every=60) as controller:
        await played.say()
        device = await controller.wait_for("hall", timeout=SOON)
        yield Case(world, controller, played, device)
    await world.close()


async def test_a_result_comes_back(case: Case) -> None:
    case.answers()
    assert await case.device.call("water", seconds=20) == {"got": '{"seconds":20}', "expires": True}
    assert await case.device.call_with("water", {"timeout": 1}, timeout=2) == {
        "got": '{"timeout":1}',
        "expires": True,
    }
    assert case.outcomes() == {'command="water",outcome="ok"': 2}


async def test_a_call_says_until_when_and_how_long_it_may_start(case: Case) -> None:
    came: list[tuple[float | None, float | None]] = []

    async def serve(request: Request) -> Element:
        call = parse_call(request.payload)
        came.append((call.expires, call.within))
        return result_element(call, None)

    case.played.link.serve(COMMAND_TAG, serve)
    before = time.time()
    await case.device.call_with("water", {}, timeout=7)
    ((expires, within),) = came
    assert within == 7.0
    assert expires == pytest.approx(before + 7, abs=2)


async def test_a_name_that_the_device_does_not_describe_is_no_label(case: Case) -> None:
    case.answers()
    await case.device.call("dance")
    assert case.outcomes() == {'command="unknown",outcome="ok"': 1}


async def test_a_failure_on_the_device(case: Case) -> None:
    case.answers()
    with pytest.raises(CommandFailedError, match="the valve is stuck"):
        await case.device.call("break")


@pytest.mark.parametrize(
    ("refusal", "error", "outcome"),
    [
        (stanza_error("forbidden"), NotAllowedError, "not-allowed"),
        (stanza_error("item-not-found", "no command water"), UnknownCommandError, "unknown-command"),
        (stanza_error("bad-request", "seconds: too many", BAD_PAYLOAD), ArgumentsError, "wrong-arguments"),
        (None, DeviceAwayError, "away"),
    ],
)
async def test_each_refusal_is_its_own_error(
    case: Case, refusal: StanzaError | None, error: type[Exception], outcome: str
) -> None:
    if refusal is not None:
        case.answers(refusal)
    with pytest.raises(error):
        await case.device.call("water")
    assert case.outcomes() == {f'command="water",outcome="{outcome}"': 1}


async def test_arguments_that_cannot_travel_are_told(case: Case) -> None:
    with pytest.raises(ArgumentsError):
        await case.device.call("water", seconds=float("nan"))


async def test_no_answer_leaves_it_open_what_happened(case: Case) -> None:
    case.answers()
    case.world.server.silence("hall@localhost")
    with pytest.raises(NoAnswerError):
        await case.device.call("water", timeout=0.05)
    assert case.outcomes() == {'command="water",outcome="no-answer"': 1}


async def test_a_device_that_is_away_is_told_at_once(case: Case) -> None:
    case.world.server.drop("hall@localhost", back_after=None)
    await case.controller.wait_for("hall", online=False, timeout=SOON)
    with pytest.raises(DeviceAwayError, match="device hall is lost: command water was not sent"):
        await case.device.call("water")


async def test_while_our_own_link_is_down_nothing_is_sent(case: Case) -> None:
    case.world.server.drop(HOUSE, back_after=None)
    with pytest.raises(LinkDownError, match="was not sent: connection lost"):
        await case.device.call("water")
    assert case.outcomes() == {'command="water",outcome="link-down"': 1}


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (CommandExpiredError("late"), "expired"),
        (CommandCancelledError("never mind"), "cancelled"),
        (CommandUnknownError("it stopped"), "unknown"),
        (CommandConflictError("used before"), "conflict"),
        (ValueError("a fault of ours"), "error"),
    ],
)
def test_an_error_is_a_word_for_the_metrics(error: Exception, word: str) -> None:
    assert outcome_of(error) == word


def test_every_outcome_is_documented() -> None:
    stated = {row[0] for row in rows(section(TEXTS["docs/commands.md"], "### Outcomes of a call"))}
    assert stated == {word for _, word in _OUTCOMES} | {"ok", "error"}
