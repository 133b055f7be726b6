"""Level 1's session with a simulated board: what it tells of it, and when it asks again."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from firmware_bridge.board import BoardSession
from firmware_bridge.description import schema_of
from firmware_bridge.events import (
    BoardChanged,
    Damaged,
    Described,
    Dropped,
    Greeted,
    Happened,
    Logged,
    Outcome,
    Refused,
    Restarted,
    Sampled,
)
from firmware_bridge.frames import encode_frame
from firmware_bridge.messages import Channel, Hello, write_message
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.values import Kind
from iotxmpp.errors import CommandError
from tests.unit.bridge_house import COMMANDS, WALL, Clock, House
from tests.unit.frame_house import house, sent

if TYPE_CHECKING:
    from firmware_bridge.learning import Known


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


@pytest.mark.parametrize("kind", range(0x02, 0x20))
def test_a_frame_of_one_byte_is_damage_and_the_board_goes_on(kind: int) -> None:
    home = house()
    home.run(2)
    for body in (bytes((kind,)), bytes((kind, 0))):
        home.events += home.session.receive(encode_frame(body), home.clock.now)
    home.events.clear()
    home.run(2)
    assert home.of(Sampled)
    assert home.done("switch", channel=1, on=True).outcome is Outcome.DONE


@pytest.mark.parametrize("kind", [0x02, 0x03])
def test_a_description_without_its_index_is_told_as_damage(kind: int) -> None:
    home = house()
    home.run(2)
    home.events += home.session.receive(encode_frame(bytes((kind,))), home.clock.now)
    assert [each.why for each in home.of(Damaged)] == [
        f"message 0x{kind:02X}: it ends before its index; bytes are missing"
    ]
