"""Calls in level 1's session: each runs once at most, ends once, and waits for its turn."""

import pytest

from firmware_bridge.calls import MOST_WAITING
from firmware_bridge.events import Answered, Described, Greeted, Lost, Outcome
from firmware_bridge.session import FrameSession
from firmware_bridge.simulated import SimulatedBoard
from iotxmpp.errors import ArgumentsError, CommandError, LinkDownError, UnknownCommandError
from tests.unit.bridge_house import COMMANDS, Clock, House
from tests.unit.frame_house import house, sent


def test_a_call_runs_once_and_ends_once() -> None:
    home = house()
    home.run(1)
    assert home.done("switch", channel=2, on=True).value is True
    failed = home.done("fail")
    assert (failed.outcome, failed.text) == (Outcome.FAILED, "the valve does not move")
    assert home.done("note", text="a b").outcome is Outcome.DONE
    assert home.board.ran == [("switch", {"channel": 2, "on": True}), ("fail", {}), ("note", {"text": "a b"})]


def test_a_long_command_is_asked_for_again_and_runs_once() -> None:
    home = house()
    home.run(1)
    answer = home.done("long")
    assert (answer.outcome, answer.value) == (Outcome.DONE, 7)
    assert home.board.ran == [("long", {})]
    assert home.done("long", timeout=1.0).outcome is Outcome.UNKNOWN
    home.run(3)
    assert home.done("switch", channel=1, on=False).outcome is Outcome.DONE
    assert not home.of(Lost)


def test_calls_before_the_board_is_known_wait_and_wrong_ones_are_refused() -> None:
    home = house()
    early, wrong = home.call("switch", channel=1, on=True), home.call("swich")
    home.run(2)
    early_answer, wrong_answer = home.answer(early), home.answer(wrong)
    assert early_answer is not None
    assert early_answer.outcome is Outcome.DONE
    assert wrong_answer is not None
    assert wrong_answer.outcome is Outcome.UNKNOWN_COMMAND
    with pytest.raises(UnknownCommandError):
        home.call("swich")
    with pytest.raises(ArgumentsError, match="'on' is missing"):
        home.call("switch", channel=1)
    with pytest.raises(ArgumentsError, match="its frame has 64 bytes, the board takes 60"):
        home.call("note", text="x" * 49)
    assert home.done("note", text="x" * 45).outcome is Outcome.DONE
    assert home.board.overflowed == 0


def test_one_frame_is_in_flight_and_calls_wait_in_their_order() -> None:
    home = house()
    home.run(1)
    tokens = [home.call("switch", channel=number, on=True) for number in range(MOST_WAITING + 1)]
    with pytest.raises(CommandError, match="32 calls wait for the board already"):
        home.call("fail")
    home.run(3)
    assert [each.token for each in home.of(Answered)] == tokens
    assert [arguments["channel"] for _, arguments in home.board.ran] == list(range(33))
    assert home.board.overflowed == 0


def test_a_silent_board_is_asked_six_times_and_then_lost() -> None:
    home = house()
    home.run(2)
    home.board.silent = True
    running, waiting = home.call("switch", channel=1, on=True, timeout=99), home.call("fail", timeout=99)
    home.sent.clear()
    began = home.clock.now
    while not home.of(Lost):
        home.step()
    assert home.clock.now - began == pytest.approx(15.75, abs=0.3)
    assert sent(home) == [0x12] * 6
    assert home.of(Lost) == [Lost(why="the board gave no answer to call switch, sent 6 times")]
    answers = {each.token: each.outcome for each in home.of(Answered)}
    assert answers == {running: Outcome.UNKNOWN, waiting: Outcome.NOT_RUN}
    assert home.session.next_timeout() is None
    with pytest.raises(LinkDownError):
        home.call("fail")
    home.board.silent = False
    home.events = home.session.open(home.clock.now)
    home.run(2)
    assert [type(each) for each in home.events][:2] == [Greeted, Described]
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE


def test_a_call_to_the_start_before_is_refused_by_the_board() -> None:
    home = house(SimulatedBoard(commands=COMMANDS, every=0))
    home.run(1)
    home.board.restart(home.clock.now)
    home.board.outgoing()
    answer = home.done("switch", channel=1, on=True)
    assert answer.outcome is Outcome.UNKNOWN
    assert home.board.ran == []
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE


def test_a_new_host_gets_no_result_of_what_another_asked_for() -> None:
    home = house(SimulatedBoard(commands=COMMANDS, every=0))
    home.run(1)
    home.session = FrameSession(wall=home.clock.wall, first_call=5)
    home.events = home.session.open(home.clock.now)
    home.run(1)
    home.call("long")
    home.run(0.5)
    home.session = FrameSession(wall=home.clock.wall, first_call=5)
    home.events = home.session.open(home.clock.now)
    home.run(0.5)
    assert home.done("switch", channel=1, on=True).value is True
    assert [name for name, _ in home.board.ran] == ["long", "switch"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_new_hosts_first_call_runs_though_its_number_is_the_kept_one(kept: bool) -> None:
    board, clock = SimulatedBoard(commands=COMMANDS, every=0), Clock()
    home = House(FrameSession(wall=clock.wall, first_call=7), board, clock)
    home.run(1)
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE
    home.session = FrameSession(wall=clock.wall, first_call=7 if kept else 99)
    home.events = home.session.open(clock.now)
    home.run(1)
    assert home.done("switch", channel=2, on=False).value is False
    assert [arguments["channel"] for _, arguments in board.ran] == [1, 2]
