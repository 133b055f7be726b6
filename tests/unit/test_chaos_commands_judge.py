"""The judge of commands, on ledgers and stores made up for it: it finds every kind of wrong."""

from typing import Any

import pytest

from iotxmpp.controller.queued import CommandState, QueuedCommand
from tests.chaos.commands_judge import CommandVerdict, judge_commands
from tests.chaos.commands_plan import CUTS, Shares, Step, draw

QUEUED = Step(token=1, device="d1", way="queue")
CALLED = Step(token=1, device="d1", way="call")


def row(state: CommandState, *, token: int = 1, result: object = 1) -> QueuedCommand:
    return QueuedCommand(
        id="x",
        device="d1",
        name="act",
        arguments={"token": token},
        created=1.0,
        expires=2.0,
        updated=1.5,
        state=state,
        result=result,
    )


@pytest.mark.parametrize(
    ("state", "times"),
    [
        ("done", 1),
        ("failed", 1),
        ("unknown", 0),
        ("unknown", 1),
        ("rejected", 0),
        ("expired", 0),
        ("cancelled", 0),
    ],
)
def test_what_is_right(state: CommandState, times: int) -> None:
    ran = {1: times} if times else {}
    for verdict in (
        judge_commands([QUEUED], ran, [row(state)], {}),
        judge_commands([CALLED], ran, [], {1: state}),
    ):
        assert verdict.faults == []
        assert verdict.of(state) == 1
        assert str(verdict).startswith("RIGHT: 1 commands")


@pytest.mark.parametrize(
    ("state", "times", "words"),
    [
        ("done", 0, "it is done, and never ran"),
        ("failed", 0, "it is failed, and never ran"),
        ("done", 2, "it is done, and ran 2 times"),
        ("unknown", 2, "it is unknown, and ran 2 times"),
        ("rejected", 1, "it is rejected, and ran"),
        ("expired", 1, "it is expired, and ran"),
        ("cancelled", 1, "it is cancelled, and ran"),
        ("queued", 0, "no definite state: queued"),
        ("sent", 1, "no definite state: sent"),
    ],
)
def test_what_is_wrong(state: CommandState, times: int, words: str) -> None:
    verdict = judge_commands([QUEUED], {1: times} if times else {}, [row(state)], {})
    assert len(verdict.faults) == 1
    assert words in verdict.faults[0]
    assert words in str(verdict)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"queued": []}, "in the store 0 times"),
        ({"queued": [row("done"), row("done")]}, "in the store 2 times"),
        ({"queued": [row("done", result=7)]}, "its result is 7"),
        ({"queued": [row("done")], "ran": {1: 1, 9: 1}}, "command 9 ran, and nobody gave it"),
        ({"steps": [CALLED], "ran": {}}, "it was never called"),
        ({"steps": [CALLED], "called": {1: "wrong-result-7"}}, "no definite state: wrong-result-7"),
    ],
)
def test_what_is_wrong_with_the_books(given: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"steps": [QUEUED], "ran": {1: 1}, "queued": [], "called": {}, **given}
    verdict: CommandVerdict = judge_commands(**whole)
    assert any(words in fault for fault in verdict.faults), verdict.faults


def test_a_seed_draws_the_same_again_and_as_much_as_is_asked_for() -> None:
    steps = draw(7, 1000, ["d1", "d2"], Shares())
    assert steps == draw(7, 1000, ["d1", "d2"], Shares())
    assert steps != draw(8, 1000, ["d1", "d2"], Shares())
    blows = [step.blow.what for step in steps if step.blow is not None]
    assert sum(blow in CUTS for blow in blows) == 100
    assert (blows.count("kill-device"), blows.count("kill-caller")) == (10, 1)
