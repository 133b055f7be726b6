"""Level 0's session, and the choice between the two levels."""

import pytest

from firmware_bridge.board import BoardSession, Protocol
from firmware_bridge.crc import crc16
from firmware_bridge.events import (
    MOST_KEPT,
    Answered,
    BoardChanged,
    Damaged,
    Described,
    Dropped,
    Greeted,
    Happened,
    Logged,
    Lost,
    Outcome,
    Restarted,
    Sampled,
    SessionEvent,
    keeping,
)
from firmware_bridge.lines import Answer, Identity, parse_line, write_command
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.textsession import TextSession
from iotxmpp.errors import ArgumentsError, InvalidError, LinkDownError
from iotxmpp.readings import Value
from tests.unit.bridge_house import COMMANDS, WALL, Clock, House

ARGUMENTS: dict[str, Value] = {
    "n": 1,
    "x": -2.5,
    "on": False,
    "t": "two words",
    "e": "",
    "w": "auto",
    "d": "12",
    "b": "true",
}
BADS: tuple[Value, ...] = ('a"b', "a\nb", float("nan"))


def session() -> tuple[TextSession, Clock]:
    clock = Clock()
    made = TextSession(wall=clock.wall, first_call=1)
    made.open(clock.now)
    return made, clock


def checked(text: str) -> bytes:
    return f"{text} *{crc16(text.encode()):04X}\r\n".encode()


def test_hello_and_answers_as_lines() -> None:
    assert parse_line(b"@hello id=weather-1 name=weather version=1.0 level=1 rx=120") == Identity(
        id="weather-1", name="weather", version="1.0", level=1, facts={"rx": "120"}
    )
    assert parse_line(b"@hello") == Identity()
    assert parse_line(b"<17 ok") == Answer(number=17, ok=True)
    assert parse_line(b"<17 ok on=true") == Answer(number=17, ok=True, values={"on": True})
    assert parse_line(b"<17 error no such valve") == Answer(number=17, ok=False, text="no such valve")
    for line in (b"@helo", b"<ok", b"<123456 ok", b"<1ok", b"@hello id", b"<1 ok t=nan"):
        with pytest.raises(InvalidError):
            parse_line(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"<1 OK", Answer(number=1, ok=True)),
        (b"<1 ok done", Answer(number=1, ok=True, text="done")),
        (b"<1 Ok on=true at once", Answer(number=1, ok=True, text="on=true at once")),
        (b"<1 ok a=1 a=2", Answer(number=1, ok=True, text="a=1 a=2")),
        (b"<1 ERROR stuck", Answer(number=1, ok=False, text="stuck")),
        (b"<1 error t=nan", Answer(number=1, ok=False, text="t=nan")),
        (b"<1 maybe  so", Answer(number=1, ok=None, text="maybe so")),
        (b"<1", Answer(number=1, ok=None)),
        (b"<1 ok t=nan h=40 u=-inf", Answer(number=1, ok=True, values={"h": 40})),
    ],
)
def test_whatever_an_answer_says_it_is_an_answer(line: bytes, expected: Answer) -> None:
    dropped: dict[str, str] = {}
    assert parse_line(line, dropped=dropped) == expected
    assert dropped == ({"t": "nan", "u": "-inf"} if b"h=40" in line else {})


@pytest.mark.parametrize(
    ("line", "outcome", "text", "values"),
    [
        (b"<1 ok temperature=nan humidity=40", Outcome.DONE, "", {"humidity": 40}),
        (b"<1 ok done", Outcome.DONE, "done", {}),
        (b"<1 OK", Outcome.DONE, "", {}),
        (b"<1 Error stuck", Outcome.FAILED, "stuck", {}),
        (
            b"<1 maybe",
            Outcome.UNKNOWN,
            "the board answered 'maybe', which is neither ok nor error; it may have run",
            {},
        ),
    ],
)
def test_an_answer_ends_its_call_at_once(
    line: bytes, outcome: Outcome, text: str, values: dict[str, Value]
) -> None:
    home, clock = session()
    home.receive(b"@hello id=a name=b\n", clock.now)
    token = home.call("led", {"on": True}, clock.now)
    told = [each for each in home.receive(line + b"\n", clock.now) if isinstance(each, Answered)]
    assert [(each.token, each.outcome, each.text, dict(each.values or {})) for each in told] == [
        (token, outcome, text, values)
    ]
    assert home.counts.dropped == line.count(b"nan")
    assert home.counts.damaged == 0


HELLO = b"@hello id=a name=b version=1\n"


def asked_thrice() -> TextSession:
    """A sketch was asked at 100, 102 and 104 s, and answers for the first time at 105 s."""
    home, _ = session()
    home.tick(102.0)
    home.tick(104.0)
    assert home.outgoing().count(b">0 hello") == 3
    assert [type(each) for each in home.receive(b"#\n" + HELLO, 105.0)] == [Logged, Greeted]
    return home


def test_hellos_that_were_asked_for_are_no_restarts() -> None:
    home = asked_thrice()
    token = home.call("led", {"on": True}, 105.1, 30.0)
    assert home.receive(HELLO, 110.0) == home.receive(HELLO, 114.0) == []
    told = home.receive(b"<1 ok\n", 118.0)
    assert told == [Answered(token=token, outcome=Outcome.DONE, values={})]
    assert home.counts.restarts == 0


def test_a_hello_after_all_answers_or_after_a_later_calls_answer_is_a_restart() -> None:
    home = asked_thrice()
    for now in (110.0, 114.0, 118.0):
        assert home.receive(HELLO, now) == []
    assert Restarted(boot=None) in home.receive(HELLO, 122.0)
    home = asked_thrice()
    home.call("led", {"on": True}, 105.1)
    home.receive(b"<1 ok\n", 106.0)  # a sketch reads its lines in their order
    token = home.call("led", {"on": True}, 107.0)
    told = home.receive(HELLO, 110.0)
    assert told[0] == Answered(
        token=token, outcome=Outcome.UNKNOWN, text="the board restarted before it answered; it may have run"
    )
    assert told[1] == Restarted(boot=None)
    late = asked_thrice()
    assert Restarted(boot=None) in late.receive(HELLO, 165.0)  # no question waits for so long


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (b"@hello id=a name=b version=1 boot=1\n", b"@hello id=a name=b version=1 boot=2\n"),
        (HELLO, HELLO.replace(b"version=1", b"version=2")),
    ],
)
def test_an_asked_hello_that_differs_is_a_restart(first: bytes, later: bytes) -> None:
    home, _ = session()
    home.receive(first, 100.1)
    assert home.receive(first, 101.0) == []
    assert Restarted(boot=2 if b"boot" in later else None) in home.receive(later, 101.5)
    assert home.counts.restarts == 1


def test_commands_as_lines_come_back_as_they_were() -> None:
    line = write_command(17, "switch", ARGUMENTS, checked=True)
    assert line.startswith(b'>17 switch n=1 x=-2.5 on=false t="two words" e="" w=auto d="12" b="true" *')
    body, _, check = line.strip().rpartition(b" *")
    assert crc16(body) == int(check, 16)
    assert parse_line(body.removeprefix(b">17 switch ")).values == ARGUMENTS  # type: ignore[union-attr]  # values
    for bad in BADS:
        with pytest.raises(ArgumentsError):
            write_command(1, "switch", {"t": bad}, checked=False)


def test_a_press_may_be_the_first_line_of_all() -> None:
    home, _ = session()
    events = home.receive(b"!pressed\n", 100.0)
    assert [(each.name, each.text) for each in events if isinstance(each, Happened)] == [("pressed", "")]


def test_the_first_line_may_be_a_part_and_is_dropped() -> None:
    home, clock = session()
    assert home.outgoing() == b"\n>0 hello\n"
    events = home.receive(b"ature=2\r\ntemperature=21.5 humidity=40\r\n", clock.now)
    assert events == [
        Greeted(level=0),
        Sampled(values={"temperature": 21.5, "humidity": 40}, at=WALL + 100),
    ]
    home, clock = session()
    assert home.receive(checked("a=1"), clock.now)[1:] == [Sampled(values={"a": 1}, at=WALL + 100)]


def test_once_lines_are_checked_unchecked_ones_are_damaged() -> None:
    home, clock = session()
    home.outgoing()
    events = home.receive(checked("a=1") + b"a=2\r\n# hi\r\n" + checked("a=3")[:-4] + b"x\r\n", clock.now)
    assert [each.values for each in events if isinstance(each, Sampled)] == [{"a": 1}]
    assert [each for each in events if isinstance(each, Logged)] == [Logged(level=1, text="hi")]
    assert [each.count for each in events if isinstance(each, Damaged)] == [2]
    home.call("switch", {"on": True}, clock.now)
    assert home.outgoing() == write_command(1, "switch", {"on": True}, checked=True)


def test_what_is_no_number_is_dropped_and_the_rest_is_taken() -> None:
    home, clock = session()
    events = home.receive(b"#\nt=nan h=40 u=1e999\n!pressed long\n", clock.now)
    assert [type(each) for each in events] == [Logged, Dropped, Greeted, Sampled, Happened]
    assert events[1] == Dropped(channels=("t", "u"))
    assert events[3] == Sampled(values={"h": 40}, at=WALL + 100)
    assert home.counts.dropped == 2


def test_commands_are_sent_once_and_end_once() -> None:
    clock = Clock()
    home = House(TextSession(wall=clock.wall), SimulatedBoard(level=0, commands=COMMANDS), clock)
    home.run(1)
    done = home.done("switch", channel=1, on=True)
    assert (done.outcome, done.values) == (Outcome.DONE, {"value": True})
    assert home.done("fail").text == "the valve does not move"
    assert home.done("swich").text == "unknown command"
    home.board.silent = True
    assert home.done("switch", channel=1, on=True).outcome is Outcome.UNKNOWN
    assert home.sent.count(b"switch") == 2
    home.board.silent = False
    assert home.done("switch", channel=1, on=False).outcome is Outcome.DONE
    with pytest.raises(ArgumentsError, match="the sketch takes 60"):
        home.call("note", text="x" * 60)
    assert home.board.ran[0] == ("switch", {"channel": 1, "on": True})


def test_a_hello_that_comes_by_itself_is_a_restart() -> None:
    clock = Clock()
    home = House(TextSession(wall=clock.wall), SimulatedBoard(level=0, commands=COMMANDS), clock)
    home.run(5)
    assert len(home.of(Greeted)) == 1
    home.board.restart(clock.now)
    home.run(1)
    assert home.of(Restarted) == [Restarted(boot=2)]
    assert home.session.receive(b"@hello id=x name=sim\n", clock.now)[0] == BoardChanged(
        was=Greeted(level=0, id="sim-1", name="sim", version="1.0.0", boot=2)
    )


@pytest.mark.parametrize(
    ("protocol", "level", "expected"),
    [("auto", 1, 1), ("auto", 0, 0), ("text", 0, 0), ("frames", 1, 1)],
)
@pytest.mark.parametrize("delay", [0.0, 1.7])
def test_the_level_is_found(protocol: Protocol, level: int, expected: int, delay: float) -> None:
    clock = Clock()
    home = House(
        BoardSession(protocol=protocol, wall=clock.wall),
        SimulatedBoard(level=level, commands=COMMANDS),
        clock,
    )
    home.board.silent = delay > 0
    home.run(delay)
    home.board.silent = False
    home.run(6)
    assert isinstance(home.session, BoardSession)
    assert home.session.level == expected
    assert bool(home.of(Described)) == (expected == 1)
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE
    assert home.of(Sampled)


def test_a_nameless_sketch_is_found_and_none_of_its_lines_is_lost() -> None:
    clock = Clock()
    home = BoardSession(wall=clock.wall)
    home.open(100.0)
    with pytest.raises(LinkDownError, match="has not said yet who it is"):
        home.call("x", {}, 100.0)
    assert home.receive(b"# boot\nt=1\n", 100.2) == []
    assert home.receive(b"t=2\n", 100.7) == []
    assert home.next_timeout() is not None
    assert home.tick(100.9) == []
    told = home.tick(101.3)
    assert [each.values for each in told if isinstance(each, Sampled)] == [{"t": 1}, {"t": 2}]
    assert home.level == 0


def test_a_sketch_that_is_silent_for_long_is_a_text_board_and_not_lost() -> None:
    clock = Clock()
    home = House(BoardSession(wall=clock.wall), SimulatedBoard(level=0, every=0), clock)
    home.board.silent = True
    home.run(20)
    assert isinstance(home.session, BoardSession)
    assert home.session.level == 0
    assert not home.of(Lost)
    home.events += home.session.receive(b"#\nt=1\n", clock.now)
    assert home.of(Sampled)


def test_to_a_sketch_each_question_in_frames_is_one_line_that_it_does_not_know() -> None:
    home = BoardSession(wall=Clock().wall)
    home.open(100.0)
    sent = home.outgoing()
    assert sent == bytes.fromhex("0004100c3e00") + b"\n>0 hello\n"
    home.tick(100.25)
    assert home.outgoing() == bytes.fromhex("0004100c3e00") + b"\n"


def test_a_text_board_that_learns_frames_is_asked_in_frames() -> None:
    clock = Clock()
    home = House(BoardSession(wall=clock.wall), SimulatedBoard(level=0, commands=COMMANDS), clock)
    home.run(3)
    home.board.level = 1
    home.board.restart(clock.now)
    home.run(3)
    assert isinstance(home.session, BoardSession)
    assert home.session.level == 1
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE
    home.events = [*home.session.close(clock.now), *home.session.open(clock.now)]
    assert home.session.board is None
    home.run(1)
    assert home.session.level == 1


@pytest.mark.parametrize(
    "before", ["temperature=2", "# the sensor wa", '!pressed "lo', "<1 o", 'a="x', "temperature=21.5 *04"]
)
@pytest.mark.parametrize("check", [False, True])
def test_a_restart_in_the_middle_of_a_line_is_seen(before: str, check: bool) -> None:
    made, clock = session()
    written = checked if check else lambda text: f"{text}\n".encode()
    made.receive(written("@hello id=shed-1 name=shed version=1.0.0 boot=1"), clock.now)
    made.outgoing()
    token = made.call("set", {}, clock.now, 10.0)
    hello = written("@hello id=shed-1 name=shed version=1.0.0 boot=2")
    events = made.receive(before.encode() + hello, clock.now)
    assert [type(each) for each in events] == [Answered, Restarted, Greeted, Damaged]
    assert isinstance(events[0], Answered)
    assert (events[0].token, events[0].outcome) == (token, Outcome.UNKNOWN)
    assert made.counts.restarts == 1
    assert made.counts.damaged == 1


@pytest.mark.parametrize(
    "line",
    [
        b"# type @hello id=x now\n",
        b"# say @hello\n",
        b'a="@hello id=x"\n',
        checked("# it said @hello id=x"),
        b"!said @hello name=x\n",
    ],
)
def test_a_line_that_only_speaks_of_hello_is_none(line: bytes) -> None:
    made, clock = session()
    made.receive(b"@hello id=a boot=1\n", clock.now)
    events = made.receive(line, clock.now)
    assert [type(each) for each in events] in ([Logged], [Sampled], [Happened])
    assert made.board == Greeted(level=0, id="a", boot=1)


def test_a_sketch_that_prints_fast_is_greeted_all_the_same() -> None:
    made = BoardSession(wall=lambda: WALL)
    now = 100.0
    events = made.open(now)
    for _ in range(150):
        now += 0.01
        events += made.receive(b"temperature=21.5 humidity=40\n" * 4, now)
        events += made.tick(now)
    assert isinstance(events[0], Greeted)
    assert sum(isinstance(each, Sampled) for each in events) > MOST_KEPT


def test_what_is_kept_has_an_end_and_who_the_board_is_stays() -> None:
    told: list[SessionEvent] = [Greeted(level=1, id="a"), Restarted(boot=1)]
    told = keeping(told, [Logged(level=1, text=str(number)) for number in range(1000)])
    assert len(told) == MOST_KEPT
    assert told[:2] == [Greeted(level=1, id="a"), Restarted(boot=1)]
    assert told[-1] == Logged(level=1, text="999")
    told = keeping(told, [Greeted(level=1, id=str(number)) for number in range(1000)])
    assert len(told) == MOST_KEPT
    assert told[-1] == Greeted(level=1, id="999")


def test_what_an_answer_says_is_no_channels_value() -> None:
    home, clock = session()
    home.receive(b"temperature=21.5\ntemperature=21.5\n", clock.now)
    home.call("measure", {}, clock.now)
    home.outgoing()
    events = home.receive(b"<1 ok temperature=nan\n", clock.now)
    assert [type(each) for each in events] == [Answered]
    assert [
        each.channels for each in home.receive(b"temperature=nan\n", clock.now) if isinstance(each, Dropped)
    ]
