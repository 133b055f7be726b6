"""What a board says reaches the log, but a flood of it does not; and what its answers become."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from firmware_bridge.binding import Binding
from firmware_bridge.board import BoardSession
from firmware_bridge.driver import outcome_of
from firmware_bridge.events import Answered, BoardChanged, Greeted, Happened, Logged, Outcome, Restarted
from firmware_bridge.health import SUMMED_EVERY, Throttle
from firmware_bridge.hearing import Ear
from firmware_bridge.link import Hear, Link
from tests.unit.pty_house import profile


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=1000.0)
    time = SimpleNamespace(monotonic=lambda: made.now, time=lambda: made.now)
    monkeypatch.setattr("firmware_bridge.hearing.time", time)
    return made


@pytest.fixture
def caplog_all(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def hears() -> Hear:
    ear = Ear(Binding(profile()), 0.0, profile())
    hear = ear.at("tty", None)
    ear.serve(Link("tty", BoardSession(), hear))
    return hear


async def test_a_flood_of_hellos_is_a_few_lines_of_the_log(
    clock: SimpleNamespace, caplog_all: pytest.LogCaptureFixture
) -> None:
    hear = await hears()
    for boot in range(10_000):
        clock.now += 0.001
        board = Greeted(level=0, id="f", boot=boot)
        hear([Restarted(boot=boot), BoardChanged(was=board), board])
    assert 5 <= len(caplog_all.records) <= 15
    clock.now += SUMMED_EVERY
    caplog_all.clear()
    hear([Greeted(level=0, id="f")])
    texts = [each.getMessage() for each in caplog_all.records]
    assert any("29990 lines of its hellos were left out" in each for each in texts), texts


async def test_a_flood_of_logs_and_events_is_summed_once_a_minute(
    clock: SimpleNamespace, caplog_all: pytest.LogCaptureFixture
) -> None:
    hear = await hears()
    sent = 0
    for second in range(6000):
        clock.now += 0.05
        hear([Logged(level=1, text=f"hello {second}"), Happened(name="e", text="", at=clock.now)])
        sent += 2
    warnings = [each for each in caplog_all.records if "were left out" in each.getMessage()]
    assert len(warnings) in (4, 5)  # in 5 minutes
    clock.now += SUMMED_EVERY
    hear([])
    told = [each.getMessage() for each in caplog_all.records if "were left out" in each.getMessage()]
    held = [int(each.split()[5]) for each in told]
    passed = [each for each in caplog_all.records if each.name == "iotxmpp.board"]
    assert sum(held) + len(passed) == sent


def test_a_throttle_that_holds_nothing_has_no_summary() -> None:
    throttle = Throttle(a_second=1.0, burst=2.0)
    assert [throttle.passes(1000.0) for _ in range(4)] == [True, True, False, False]
    assert throttle.summary(1000.0 + SUMMED_EVERY - 1) == 0
    assert throttle.summary(1000.0 + SUMMED_EVERY) == 2
    assert throttle.summary(1000.0 + 10 * SUMMED_EVERY) == 0


def test_a_text_that_a_command_was_answered_with_is_its_result() -> None:
    assert outcome_of("led", Answered(token=1, outcome=Outcome.DONE, text="done", values={})) == "done"
    assert outcome_of("led", Answered(token=1, outcome=Outcome.DONE, text="done", value=False)) is False
    assert outcome_of("led", Answered(token=1, outcome=Outcome.DONE)) is None
