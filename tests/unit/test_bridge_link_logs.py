"""What a board says reaches the log, but a flood of it does not; and what its answers become."""

import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware_bridge.binding import Binding
from firmware_bridge.board import BoardSession
from firmware_bridge.description import Description
from firmware_bridge.driver import outcome_of
from firmware_bridge.events import (
    Answered,
    BoardChanged,
    Described,
    Greeted,
    Happened,
    Logged,
    Outcome,
    Refused,
    Restarted,
    Sampled,
    SessionEvent,
)
from firmware_bridge.health import SUMMED_EVERY, Throttle
from firmware_bridge.hearing import Ear
from firmware_bridge.link import Hear, Link
from firmware_bridge.mailbox import Packet
from tests.unit.pty_house import board, driver, plugged, profile

NOTHING = Description(channels=(), commands=())


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
        greeted = Greeted(level=0, id="f", boot=boot)
        hear([Restarted(boot=boot), BoardChanged(was=greeted), greeted])
    assert 5 <= len(caplog_all.records) <= 15
    clock.now += SUMMED_EVERY
    caplog_all.clear()
    hear([Greeted(level=0, id="f")])
    texts = [each.getMessage() for each in caplog_all.records]
    assert any("29990 lines of its hellos were left out" in each for each in texts), texts


def opened(*events: SessionEvent) -> None:
    """Takes what a board says at one opening of its port: the agent makes a driver, and an ear, for each."""
    ear = Ear(Binding(profile()), 0.0, profile())
    hear = ear.at("tty", None)
    hear(events[:1])
    ear.serve(Link("tty", BoardSession(), hear))
    for event in events[1:]:
        hear([event])


@pytest.mark.parametrize("why", ["channel 't' stands there twice; rename one in the firmware", ""])
async def test_only_a_board_that_can_be_served_is_logged_as_connected(
    why: str, caplog_all: pytest.LogCaptureFixture
) -> None:
    greeted = Greeted(level=1, id="a-1", name="a")
    answer = Refused(text=why) if why else Described(description=NOTHING, remembered=False)
    for _ in range(25):
        opened(greeted, answer)
    texts = [each.getMessage() for each in caplog_all.records if each.levelno >= logging.INFO]
    assert texts == ([] if why else ["board a-1, a", "sim: connected to tty"] * 25)


async def test_a_real_board_that_is_refused_is_never_logged_as_connected(
    tmp_path: Path, caplog_all: pytest.LogCaptureFixture
) -> None:
    strange = board()
    strange.channels *= 2  # two of each name
    with plugged(strange, tmp_path / "tty0"):
        for _ in range(3):
            async with driver(tmp_path / "tty0") as opened:
                with pytest.raises(OSError, match="stands there twice"):
                    async for _sample in opened.samples():
                        pass
    assert [each.getMessage() for each in caplog_all.records if each.name.startswith("firmware_bridge")] == []


async def test_a_sketch_is_connected_with_its_first_word_and_once(
    caplog_all: pytest.LogCaptureFixture,
) -> None:
    greeted = Greeted(level=0, id="a-1", name="a")
    opened(Logged(level=0, text="starting"), greeted, greeted)
    texts = [each.getMessage() for each in caplog_all.records if each.levelno >= logging.INFO]
    assert texts == ["board a-1, a", "sim: connected to tty", "board a-1, a"]


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


async def test_events_that_the_profile_lacks_take_no_memory_and_its_own_are_counted() -> None:
    kind = profile(readings={"pressed": {"type": "int"}})
    ear = Ear(Binding(kind), 0.0, kind)
    hear = ear.at("tty", None)
    ear.serve(Link("tty", BoardSession(), hear))
    hear([Happened(name=f"event{number}", text="", at=1.0) for number in range(1000)])
    tracemalloc.start()
    try:
        for start in range(0, 100_000, 1000):
            hear([Happened(name=f"e{number}", text="", at=1.0) for number in range(start, start + 1000)])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
    hear([Happened(name="pressed", text="", at=2.0)] * 2)
    assert [dict(each.values) for each in await packets(ear)] == [{"pressed": 1}, {"pressed": 2}]


async def packets(ear: Ear) -> list[Packet]:
    return [await ear.mailbox.take() for _ in range(2)]


async def test_what_a_board_says_while_others_are_asked_is_kept_however_much_follows() -> None:
    ear = Ear(Binding(profile()), 0.0, profile())
    hear = ear.at("tty", None)
    greeted = Greeted(level=0, id="a", version="1.0.0")
    hear([greeted])
    for number in range(2000):
        hear([Sampled(values={"temperature": float(number)}, at=1.0)])
    ear.serve(Link("tty", BoardSession(), hear))
    assert ear.said == greeted


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
