"""Level 1's session with a simulated board: what it tells, and when it asks again."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from firmware_bridge.board import BoardSession
from firmware_bridge.calls import MOST_WAITING
from firmware_bridge.description import schema_of
from firmware_bridge.events import (
    Answered,
    BoardChanged,
    Damaged,
    Described,
    Dropped,
    Gap,
    Greeted,
    Happened,
    Logged,
    Lost,
    Outcome,
    Refused,
    Restarted,
    Sampled,
)
from firmware_bridge.frames import Frame, Splitter, encode_frame
from firmware_bridge.learning import Known
from firmware_bridge.messages import Channel, Hello, Report, write_message
from firmware_bridge.session import FrameSession
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.values import Kind, write_value
from iotxmpp.errors import ArgumentsError, CommandError, LinkDownError, UnknownCommandError
from tests.unit.bridge_house import COMMANDS, WALL, Clock, House


def house(board: SimulatedBoard | None = None, known: Known | None = None) -> House:
    clock = Clock()
    session = FrameSession(wall=clock.wall, known=known)
    return House(session, board or SimulatedBoard(commands=COMMANDS), clock)


def sent(home: House) -> list[int]:
    """The types of the frames that went to the board."""
    return [each.body[0] for each in Splitter().feed(bytes(home.sent)) if isinstance(each, Frame)]


def test_a_board_is_greeted_described_and_its_values_come_at_its_time() -> None:
    home = house()
    home.run(3)
    kinds = [type(each) for each in home.events]
    assert kinds[:2] == [Greeted, Described]
    assert set(kinds[2:]) == {Sampled}
    assert home.session.board == Greeted(level=1, id="sim-1", name="sim", version="1.0.0", boot=1)
    first = home.of(Sampled)[0]
    assert first.values == {"temperature": 20.25, "humidity": 20.25}
    assert first.at == pytest.approx(WALL + 101, abs=0.03)
    assert home.board.unix == pytest.approx(WALL + home.clock.now, abs=3)
    assert sent(home) == [0x10, *[0x11] * 6, 0x13, 0x13, 0x13]


def test_what_is_remembered_is_not_asked_for_again() -> None:
    known: Known = {}
    house(known=known).run(2)
    again = house(known=known)
    again.run(2)
    assert again.of(Described)[0].remembered
    assert 0x11 not in sent(again)
    other = house(SimulatedBoard(version="1.0.1", commands=COMMANDS), known=known)
    other.run(2)
    assert not other.of(Described)[0].remembered


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


def test_a_call_to_the_start_before_is_refused_by_the_board() -> None:
    home = house(SimulatedBoard(commands=COMMANDS, every=0))
    home.run(1)
    home.board.restart(home.clock.now)
    home.board.outgoing()
    answer = home.done("switch", channel=1, on=True)
    assert answer.outcome is Outcome.UNKNOWN
    assert home.board.ran == []
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE


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


def test_events_logs_lines_and_nonsense() -> None:
    home = house(SimulatedBoard(every=0))
    home.run(1)
    home.board.happen("pressed", "long", home.clock.now)
    home.board.log("low", level=2)
    home.board.print("# hi")
    home.board.print("temperature=99")
    home.events.clear()
    home.step()
    home.events += home.session.receive(b"\xff\xfe\x01x\n" + encode_frame(b"\x1f"), home.clock.now)
    assert [each.name for each in home.of(Happened)] == ["pressed"]
    assert [(each.level, each.text) for each in home.of(Logged)] == [
        (2, "low"),
        (1, "hi"),
        (1, "temperature=99"),
    ]
    assert home.of(Damaged) == [Damaged(count=1, size=4, why="a line that is no text")]
    assert home.session.counts.unknown == 1
    assert not home.of(Sampled)


def test_what_is_no_number_is_dropped_and_counted() -> None:
    home = house(SimulatedBoard(value=lambda channel, number: float("nan") if channel.index else 1.0))
    home.run(2.5)
    assert home.of(Sampled)[0].values == {"temperature": 1.0}
    assert home.of(Dropped) == [Dropped(channels=("humidity",))] * 2
    assert home.session.counts.dropped == 2


def hello(**changes: object) -> Callable[[SimulatedBoard], bytes]:
    def made(board: SimulatedBoard) -> bytes:
        fields: dict[str, object] = {
            "boot": 1,
            "rx": 60,
            "schema": schema_of(board.bodies()),
            "channels": len(board.channels),
            "commands": len(board.commands),
            "millis": 0,
            "id": "sim-1",
            "name": "sim",
            "version": "1.0.0",
            **changes,
        }
        return write_message(Hello(**fields))  # type: ignore[arg-type]  # the fields are a hello's

    return made


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (hello(protocol=2), "the board speaks version 2 of the protocol, this is 1; update the older side"),
        (hello(rx=15), "it takes frames of 15 bytes; give its firmware a buffer of at least 16"),
        (hello(schema=1, version="2"), "its hello says schema 0001, what it describes has"),
    ],
)
def test_a_board_that_cannot_be_served_is_told_in_words(
    body: Callable[[SimulatedBoard], bytes], words: str
) -> None:
    board = SimulatedBoard(commands=COMMANDS, every=0)
    clock = Clock()
    home = House(BoardSession(wall=clock.wall), board, clock)
    board.outgoing()
    home.session.outgoing()
    home.events += home.session.receive(encode_frame(body(board)), clock.now)
    home.run(3)
    assert [words in each.text for each in home.of(Refused)] == [True]
    with pytest.raises(CommandError, match="not started"):
        home.call("fail")
    board.restart(clock.now)
    home.run(2)
    assert home.of(Described)
    assert home.done("fail").outcome is Outcome.FAILED


def test_two_channels_with_one_name_are_refused() -> None:
    home = house(SimulatedBoard(channels=(Channel(index=0, kind=Kind.INT, name="t"),) * 2))
    home.run(2)
    assert ["channel 't' stands there twice" in each.text for each in home.of(Refused)] == [True]
    assert not home.of(Sampled)


def test_channels_that_change_are_described_anew() -> None:
    home = house(SimulatedBoard(commands=COMMANDS))
    home.run(2)
    home.board.channels += (Channel(index=2, kind=Kind.INT, name="count"),)
    home.events.clear()
    home.run(3)
    assert not home.of(Restarted)
    assert [len(each.description.channels) for each in home.of(Described)] == [3]
    assert home.of(Sampled)[-1].values.keys() == {"temperature", "humidity", "count"}


def test_another_board_on_the_same_port_is_told() -> None:
    home = house()
    home.run(2)
    was = home.session.board
    home.board = SimulatedBoard(id="sim-2", boot=9)
    home.board.start(home.clock.now)
    home.events.clear()
    home.run(2)
    assert was is not None
    assert home.of(BoardChanged) == [BoardChanged(was=was)]
    assert home.of(Greeted)[0].id == "sim-2"
    assert not home.of(Restarted)


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


def test_the_boards_counter_may_wrap() -> None:
    home = house(SimulatedBoard(millis=(1 << 32) - 3000))
    home.run(8)
    times = [each.at for each in home.of(Sampled)]
    assert [round(later - one) for one, later in pairwise(times)] == [1] * 7
    assert not home.of(Restarted)


def test_the_time_is_asked_for_again_every_ten_seconds() -> None:
    home = house()
    home.run(45)
    assert sent(home).count(0x13) == 3 + 4
    home.session.close(home.clock.now)
    assert home.session.next_timeout() is None
    assert home.session.receive(b"x\n", home.clock.now) == home.session.tick(home.clock.now) == []
