"""Level 1's session over restarts and lost or repeated reports: gaps are counted, nothing comes twice."""

import pytest

from firmware_bridge.events import Answered, Described, Gap, Greeted, Outcome, Restarted, Sampled
from firmware_bridge.frames import encode_frame
from firmware_bridge.messages import Report, write_message
from firmware_bridge.session import FrameSession
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.values import Kind, write_value
from tests.unit.bridge_house import COMMANDS, WALL, House
from tests.unit.frame_house import house


def test_a_restart_ends_the_call_that_was_sent_and_begins_anew() -> None:
    home = house()
    home.run(2)
    running, waiting = home.call("long"), home.call("switch", channel=1, on=True)
    home.run(0.5)
    home.events.clear()
    home.board.restart(home.clock.now)
    home.run(3)
    kinds = [type(each) for each in home.events]
    assert kinds[:4] == [Answered, Restarted, Greeted, Described]
    outcomes = {each.token: each.outcome for each in home.of(Answered)}
    assert outcomes == {running: Outcome.UNKNOWN, waiting: Outcome.DONE}
    assert home.session.counts.restarts == 1
    assert not home.of(Gap)
    assert home.of(Sampled)[-1].at == pytest.approx(WALL + home.clock.now, abs=1.1)


def test_a_restart_whose_hello_is_lost_shows_by_its_numbers() -> None:
    home = house(SimulatedBoard(commands=COMMANDS, every=0.5))
    home.run(5)
    home.board.restart(home.clock.now)
    home.board.outgoing()
    home.events.clear()
    home.run(2)
    assert home.of(Restarted) == [Restarted(boot=2)]
    assert [each.values["humidity"] for each in home.of(Sampled)] == [22.75, 23.0, 23.25, 23.5]
    assert not home.of(Gap)


def test_gaps_are_counted_and_repeats_dropped() -> None:
    home = house(SimulatedBoard(every=0))
    home.run(1)
    for number in range(6):
        home.board.report(home.clock.now)
        frame = home.board.outgoing()
        if number not in (2, 3):
            home.events += home.session.receive(frame * (2 if number == 1 else 1), home.clock.now)
    assert [each.missing for each in home.of(Gap)] == [2]
    assert len(home.of(Sampled)) == 4
    assert (home.session.counts.gaps, home.session.counts.repeated) == (2, 1)


def reports(home: House, count: int) -> list[bytes]:
    frames = []
    for _ in range(count):
        home.clock.now += 0.1
        home.board.report(home.clock.now)
        frames.append(home.board.outgoing())
    return frames


def test_a_late_repeat_is_dropped_and_nothing_is_asked_nor_missed() -> None:
    home = house(SimulatedBoard(every=0))
    home.run(1)
    one, two, three, four = reports(home, 4)
    home.events.clear()
    home.session.outgoing()
    for frame in (one, two, three, one, four, two):
        home.events += home.session.receive(frame, home.clock.now)
        assert home.session.outgoing() == b""
    assert [each.values["humidity"] for each in home.of(Sampled)] == [20.25, 20.5, 20.75, 21.0]
    assert not home.of(Gap)
    assert (home.session.counts.gaps, home.session.counts.repeated) == (0, 2)


def test_a_run_of_late_repeats_makes_it_ask_and_is_dropped_all_the_same() -> None:
    home = house(SimulatedBoard(every=0))
    home.run(1)
    one, two, three, four = reports(home, 4)
    home.events.clear()
    for frame in (one, two, three, one, two, three, four):
        home.events += home.session.receive(frame, home.clock.now)
    home.run(1)
    assert [each.values["humidity"] for each in home.of(Sampled)] == [20.25, 20.5, 20.75, 21.0]
    assert not home.of(Gap)
    assert (home.session.counts.gaps, home.session.counts.repeated) == (0, 3)
    assert home.session.counts.restarts == 0


def test_reports_before_the_description_are_held_and_many_are_counted() -> None:
    board = SimulatedBoard(every=0)
    home = house(board)
    board.start(home.clock.now)
    early = board.outgoing()
    session = FrameSession(wall=home.clock.wall)
    events = session.open(100.0)
    events += session.receive(early, 100.0)
    for number in range(70):
        data = b"\0" + write_value(Kind.FLOAT, float(number))
        events += session.receive(
            encode_frame(write_message(Report(seq=number, millis=number, data=data))), 100.0
        )
    assert not [each for each in events if isinstance(each, Sampled)]
    home.session, home.events = session, events
    home.run(2)
    assert len(home.of(Sampled)) == 64
    assert session.counts.early == 6
