"""`iotxmpp serial probe` of a sensor that gives no numbers: it names them, and looks at the wiring."""

import json
import math
import termios
from pathlib import Path

import pytest

from firmware_bridge.events import Dropped, Sampled
from firmware_bridge.findings import MOST_NAMES, Findings
from firmware_bridge.hearsay import Hearsay
from firmware_bridge.messages import Channel
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.probe_house import Speaking, every, hurry, on_a_thread, probed
from tests.unit.pty_house import board

WHY = (
    "what came is no number, and sketches give that where a sensor does not answer; check the sensor and its"
    " wiring"
)
BOTH = f"no reading of humidity (inf), temperature (nan): {WHY}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def cut(_channel: Channel, _number: int) -> Value:
    """What a board gives whose sensor's wire is cut."""
    return math.nan


async def test_a_sketch_that_prints_nan_alone_is_told_what_came_and_why_it_is_no_reading(
    tmp_path: Path,
) -> None:
    port = tmp_path / "tty0"
    with Speaking(port, termios.B115200, every(0.05, b"temperature=nan humidity=inf\r\n")):
        result = await probed(str(port), "--baud", "115200", "--write", str(tmp_path / "files"))
    assert result.exit_code == 1
    assert str(result.exception) == f"{port}: {BOTH}; so no file was written"
    assert BOTH in result.stdout
    assert "nan, no number" in result.stdout
    assert not (tmp_path / "files").exists()


async def test_so_it_is_with_a_board_of_frames(tmp_path: Path) -> None:
    with on_a_thread(board(value=cut), tmp_path / "tty0"):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200")
    assert result.exit_code == 0, result.output
    assert f"no reading of humidity (nan or inf), temperature (nan or inf): {WHY}" in result.stdout


@pytest.mark.parametrize("level", [0, 1])
async def test_it_stands_in_json(level: int, tmp_path: Path) -> None:
    with on_a_thread(board(level=level, value=cut), tmp_path / "tty0"):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200", "--json")
    assert result.exit_code == 0, result.output
    came = "nan" if level == 0 else "nan or inf"
    found = json.loads(result.stdout)
    assert (found["channels"], found["unfit"]) == ({}, {"temperature": came, "humidity": came})


async def test_a_channel_without_a_number_is_left_out_of_the_profile_and_said(tmp_path: Path) -> None:
    with Speaking(tmp_path / "tty0", termios.B115200, every(0.05, b"temperature=21.5 humidity=nan\r\n")):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200", "--write", str(tmp_path / "files"))
    assert result.exit_code == 0, result.output
    assert f"no reading of humidity (nan): {WHY}" in result.stdout
    text = (tmp_path / "files" / "board.profile.toml").read_text(encoding="utf-8")
    assert list(parse_profile(text, "made").readings) == ["temperature"]
    assert '# check, left out, as what came is no number (is the sensor wired?): "humidity"\n' in text


def test_one_that_gives_numbers_now_and_then_is_not_told() -> None:
    findings = Findings(port="P", baud=9600)
    findings.hear([Dropped(channels=("t", "h")), Sampled(values={"t": 21.5}, at=0.0)])
    assert list(findings.unread) == ["h"]
    findings.hear([Sampled(values={"h": 40}, at=0.0)])
    assert findings.why_unread() == ""


def test_many_are_counted_and_ever_new_ones_cost_bounded_memory() -> None:
    findings, heard = Findings(port="P", baud=9600), Hearsay()
    for number in range(MOST_NAMES + 100):
        findings.hear([Dropped(channels=(f"c{number:03}",))])
        heard.take(b"c%d=nan\n" % number)
    assert len(findings.unfit) == len(heard.dropped) == MOST_NAMES
    assert findings.unnoted == 100
    assert "c007 (nan or inf) and 504 more: what came" in findings.why_unread()


def test_what_a_broken_line_has_before_its_break_is_no_value_of_a_channel() -> None:
    heard = Hearsay()
    heard.take(b"a=1\nt=nan h\n")
    assert heard.dropped == {}
