"""How data is shown: to people, and to scripts."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from io import BytesIO, TextIOWrapper

import pytest

from iotxmpp.cli.output import (
    print_json,
    print_table,
    replace_unspeakable_letters,
    show_age,
    show_value,
    shown_json,
)
from iotxmpp.readings import Value
from tests.pty_output import read_all

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "TERM": "xterm",
    "NO_COLOR": "1",
    "PYTHONPATH": os.pathsep.join(sys.path),
}
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (21.5, "Cel", "21.5 °C"),
        (21.123456789, "Cel", "21.1235 °C"),
        (40, "%RH", "40 %"),
        (1013.0, "hPa", "1013 hPa"),
        (3, None, "3"),
        (0.1 + 0.2, None, "0.3"),
        (1e12, None, "1e+12"),
        (True, None, "on"),
        (False, None, "off"),
        ("open", None, "open"),
        ("open\n10:00:00  attic  online", None, r"open\n10:00:00  attic  online"),
        ("\x9b31m\u202e", None, r"\x9b31m\u202e"),
        (1.0, "\x1b[2J", r"1 \x1b[2J"),
    ],
)
def test_values_for_people(value: Value, unit: str | None, shown: str) -> None:
    assert show_value(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "60 min"),
        (3600, "1 h"),
        (86400, "24 h"),
        (2 * 86400, "2 days"),
    ],
)
def test_ages_for_people(seconds: float, shown: str) -> None:
    assert show_age(seconds) == shown


def test_json_is_one_line_and_says_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "größe\n", "value": 1.5})
    out = capsys.readouterr().out
    assert out == '{"name": "größe\\n", "value": 1.5}\n'
    assert json.loads(out) == {"name": "größe\n", "value": 1.5}


def test_json_neither_steers_a_terminal_nor_loses_anything(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a\x1b\x7f\x9b\u202e\u2028\ud800\U000e0041°C"
    print_json({text: text})
    out = capsys.readouterr().out
    shown = r"a\u001b\u007f\u009b\u202e\u2028\ud800\udb40\udc41°C"
    assert out == f'{{"{shown}": "{shown}"}}\n'
    assert json.loads(out) == {text: text}


def test_indented_json_keeps_its_own_lines_alone() -> None:
    text = shown_json(["a\n\x9b", 1], indent=2)
    assert text.splitlines() == ["[", r'  "a\n\u009b",', "  1", "]"]


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json(float("nan"))


def test_a_table_takes_text_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    row = {"device": "[red]attic[/red]", "error": "a\n\x9bb", "missing": ":fire:"}
    print_table([row], ("device", "error", "missing"))
    out = capsys.readouterr().out
    assert ":fire:" in out
    assert "[red]attic[/red]" in out
    assert "missing" in out
    assert r"a\n\x9bb" in out


ROWS = [
    {
        "id": "0123456789ab",
        "device": "greenhouse-" * 5,
        "who": "operator-of-the-north@example.org",
        "text": "it was sent before, and is refused now",
    }
]
SCRIPT = f"""
from iotxmpp.cli.output import print_table
from tests.pty_output import read_all
print_table({ROWS!r}, ("id", "device", "a", "b", "c", "d", "who", "text"), whole=("id",))
"""


@pytest.mark.parametrize("columns", [{}, {"COLUMNS": "80"}])
def test_a_table_is_never_cut_in_a_pipe(columns: dict[str, str]) -> None:
    ended = subprocess.run(  # our own
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, env={**ENVIRONMENT, **columns}
    )
    (line,) = [line for line in ended.stdout.decode().splitlines() if "0123456789ab" in line]
    cells = [each.strip() for each in line.split("│")[1:-1]]
    assert [each for each in cells if each] == list(ROWS[0].values())


@pytest.mark.parametrize("width", [80, 60])
def test_a_table_folds_on_a_narrow_terminal_and_loses_nothing(width: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = subprocess.Popen(  # our own
        [sys.executable, "-c", SCRIPT], stdout=theirs, stdin=theirs, stderr=theirs, env=ENVIRONMENT
    )
    os.close(theirs)
    lines = STYLE.sub("", read_all(ours)).replace("\r\n", "\n").splitlines()
    assert process.wait() == 0
    assert max(map(len, lines)) <= width
    rows = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    cells = ["".join(row[at].strip() for row in rows) for at in range(8)]
    assert rows[0][0].strip() == "0123456789ab"
    assert (cells[1], cells[6]) == (ROWS[0]["device"], ROWS[0]["who"])
    assert cells[7].replace(" ", "") == ROWS[0]["text"].replace(" ", "")


def test_output_without_our_letters_gets_json_as_it_was_and_marks_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="ascii", errors="surrogateescape"))
    replace_unspeakable_letters()
    print_json({"unit": "°C"})
    print("21.5 °C", flush=True)  # noqa: T201  # what it does is the question
    lines = written.getvalue().decode("ascii").splitlines()
    assert json.loads(lines[0]) == {"unit": "°C"}
    assert lines[1] == "21.5 ?C"
