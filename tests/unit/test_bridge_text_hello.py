"""A hello within a line: a restart in the middle of that line, or talk of another board."""

import pytest

from firmware_bridge.events import Answered, BoardChanged, Greeted, Happened, Logged, Restarted
from tests.unit.test_bridge_text import checked, session


@pytest.mark.parametrize(
    "line",
    [
        "# neighbour said: @hello id=barn-2 name=barn version=1.0",
        "# neighbour said: @hello id=shed-1 name=barn",
        " # @hello id=barn-2",
        "!heard @hello id=barn-2",
        "<1 ok @hello id=barn-2 name=barn",
        ">9 say @hello id=barn-2",
        'note="see @hello id=z',
        "temperature=2@hello id=barn-2 name=shed",
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_a_known_board_is_no_other_by_a_hello_within_its_lines(line: str, check: bool) -> None:
    made, clock = session()
    written = checked if check else lambda text: f"{text}\n".encode()
    made.receive(written("@hello id=shed-1 name=shed version=1.0.0"), clock.now)
    token = made.call("set", {}, clock.now, 10.0)
    events = made.receive(f"{line}\n".encode(), clock.now)
    assert not [each for each in events if isinstance(each, BoardChanged | Greeted | Restarted)]
    assert made.board == Greeted(level=0, id="shed-1", name="shed", version="1.0.0")
    logs = [each.text for each in events if isinstance(each, Logged)]
    assert logs == ([line.strip(" #")] if "#" in line else [])
    if not check:
        done = [(each.token, each.text) for each in events if isinstance(each, Answered)]
        assert done == ([(token, "@hello id=barn-2 name=barn")] if line.startswith("<") else [])
        assert [type(each) for each in events if isinstance(each, Happened)] == [Happened] * ("!" in line)


@pytest.mark.parametrize(
    ("line", "board"),
    [
        (b"temperature=2@hello id=a name=b\n", "a"),
        (b"erature 2@hello id=a name=b\n", "a"),
        (b"# neighbour said: @hello id=a name=b\n", ""),
        (b"!heard @hello id=a name=b\n", ""),
    ],
)
@pytest.mark.parametrize("before", [b"", b"#\n", b"#\nt=1\n"])
def test_while_no_board_is_known_a_hello_is_found_in_values_alone(
    line: bytes, board: str, before: bytes
) -> None:
    made, clock = session()
    made.receive(before + line, clock.now)
    assert (made.board.id if made.board is not None else "") == board


def test_the_end_of_a_log_about_another_board_holds_until_the_board_answers() -> None:
    made, clock = session()
    made.receive(b"bour said: @hello id=barn-2 name=barn\n", clock.now)
    assert made.board == Greeted(level=0, id="barn-2", name="barn", version="")
    events = made.receive(b"@hello id=shed-1 name=shed version=1.0.0\n", clock.now)
    assert [type(each) for each in events] == [BoardChanged, Greeted]
    assert made.board == Greeted(level=0, id="shed-1", name="shed", version="1.0.0")


def test_with_checks_the_end_of_a_log_is_damage() -> None:
    made, clock = session()
    made.receive(checked("# neighbour said: @hello id=barn-2 name=barn")[6:], clock.now)
    assert made.board is None
    assert made.counts.damaged == 1
