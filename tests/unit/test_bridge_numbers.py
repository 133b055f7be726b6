"""The numbers and names of commands in lines: a late answer ends no other command, and every name goes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_bridge import textsession
from firmware_bridge.binding import Binding
from firmware_bridge.board import BoardSession
from firmware_bridge.events import Answered, Outcome
from firmware_bridge.lines import write_command
from firmware_bridge.numbering import MOST_NUMBER, Numbering
from firmware_bridge.simulated import SimulatedBoard, SimulatedCommand
from firmware_bridge.textsession import DEFAULT_RX, TextSession
from iotxmpp.cli.app import app
from iotxmpp.errors import ArgumentsError, ConfigError
from iotxmpp.profiles import profile_of
from tests.unit.bridge_house import Clock, House

HELLO = b"@hello id=v1 name=valve version=1.0.0 boot=7\n"
NAMES = ("set.level", "2x", "relay/1", "pump:on", "alarm-off", "n" * 40)


def sent(session: TextSession | BoardSession, name: str) -> int:
    """The number that a command is sent with."""
    session.outgoing()
    session.call(name, {}, 100.0)
    line = session.outgoing()
    assert line.startswith(b">")
    assert line.endswith(b" %b\n" % name.encode())
    return int(line[1:].split()[0])


def opened(made: TextSession | BoardSession) -> TextSession | BoardSession:
    made.open(100.0)
    made.receive(HELLO, 100.0)
    return made


def test_numbers_begin_anywhere_and_go_round() -> None:
    starts = {Numbering().next() for _ in range(200)}
    assert len(starts) > 150
    assert all(1 <= each <= MOST_NUMBER == 32_767 for each in starts)
    numbers = Numbering(MOST_NUMBER - 1)
    assert [numbers.next() for _ in range(3)] == [MOST_NUMBER - 1, MOST_NUMBER, 1]
    assert [Numbering(first).next() for first in (1, 0, MOST_NUMBER + 1, 65_530)] == [
        1,
        MOST_NUMBER,
        1,
        32_763,
    ]


@pytest.mark.parametrize("kind", [TextSession, BoardSession])
def test_a_program_begins_at_a_random_number(
    kind: type[TextSession | BoardSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = set()
    for _ in range(20):
        monkeypatch.setattr(textsession, "OF_THIS_PROGRAM", Numbering())  # as in a new program
        starts.add(sent(opened(kind()), "open"))
    assert len(starts) > 10
    assert sent(opened(kind(first_call=17)), "open") == 17


@pytest.mark.parametrize("kind", [TextSession, BoardSession])
def test_after_a_replug_the_late_answer_ends_no_other_command(
    kind: type[TextSession | BoardSession],
) -> None:
    before = opened(kind())
    old = sent(before, "open")
    assert [each.outcome for each in before.close(101.0) if isinstance(each, Answered)] == [Outcome.UNKNOWN]
    after = opened(kind())
    new = sent(after, "alarm-off")
    assert new == old % MOST_NUMBER + 1
    assert after.receive(b"<%d ok\n" % old, 102.0) == []
    told = after.receive(b"<%d error the relay is stuck\n" % new, 103.0)
    assert [(each.outcome, each.text) for each in told if isinstance(each, Answered)] == [
        (Outcome.FAILED, "the relay is stuck")
    ]


def test_the_same_session_opened_again_goes_on() -> None:
    session = opened(TextSession(first_call=5))
    assert sent(session, "open") == 5
    assert sent(opened(session), "open") == 6


@pytest.mark.parametrize("first", [1, MOST_NUMBER])
def test_which_line_fits_is_no_matter_of_its_number(first: int) -> None:
    session = opened(TextSession(first_call=first))
    room = DEFAULT_RX - len(b">32767 say t=\n")
    with pytest.raises(ArgumentsError, match=f"{DEFAULT_RX + 1} bytes, the sketch takes {DEFAULT_RX}"):
        session.call("say", {"t": "x" * (room + 1)}, 100.0)
    session.outgoing()
    session.call("say", {"t": "x" * room}, 100.0)
    assert session.outgoing().startswith(b">%d say t=xxx" % first)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_of_any_name_that_the_rules_allow_is_carried_out(name: str) -> None:
    clock = Clock()
    board = SimulatedBoard(level=0, commands=(SimulatedCommand(name=name, run=lambda _arguments: 7),))
    home = House(TextSession(wall=clock.wall), board, clock)
    home.run(1)
    done = home.done(name)
    assert (done.outcome, done.values) == (Outcome.DONE, {"value": 7})


@pytest.mark.parametrize("name", ["set level", "", "-x", "größe", "a=b", "a\nb", "n" * 64])
def test_a_name_that_cannot_stand_in_a_line_is_told_with_the_rule(name: str) -> None:
    with pytest.raises(ArgumentsError, match="cannot stand in a line: a name has 1 to 63 of A-Z"):
        write_command(1, name, {}, checked=False)
    session = opened(TextSession())
    with pytest.raises(ArgumentsError, match="cannot stand in a line"):
        session.call(name, {}, 100.0)


@pytest.mark.parametrize("name", ["set level", "", "größe"])
def test_a_boards_name_that_no_board_can_have_is_told_by_the_check(name: str, tmp_path: Path) -> None:
    table = {
        "schema": 1,
        "id": "valve",
        "version": "1.0.0",
        "driver": {"kind": "serial"},
        "commands": {"open": {"source": {"name": name}}, "set.level": {}, "2x": {"source": {"name": "a/b"}}},
    }
    with pytest.raises(
        ConfigError, match=r"^commands\.open\.source\.name: .*a name has 1 to 63 of A-Z"
    ) as raised:
        Binding(profile_of(table, "test"))
    assert str(raised.value).endswith("give the one that the firmware has")
    table["commands"], table["readings"] = {}, {"t": {"type": "int", "source": {"name": name}}}
    with pytest.raises(ConfigError, match=r"^readings\.t\.source\.name: .*a name has 1 to 63 of A-Z"):
        Binding(profile_of(table, "test"))
    file = tmp_path / "valve.toml"
    file.write_text(
        'schema = 1\nid = "valve"\nversion = "1.0.0"\ndriver = { kind = "serial" }\n[commands."set.level"]\n'
        f'[commands.2x]\n[commands.open]\nsource = {{ name = "{name}" }}\n',
        encoding="utf-8",
    )
    checked = CliRunner().invoke(app, ["profile", "check", str(file)])
    assert checked.exit_code == 2
    assert f"{file}: commands.open.source.name: " in checked.output
    file.write_text(file.read_text(encoding="utf-8").replace(f'"{name}"', '"a/b"'), encoding="utf-8")
    assert CliRunner().invoke(app, ["profile", "check", str(file)]).exit_code == 0
