"""`iotxmpp serial probe` says why a board is refused, and why what it prints is not understood."""

import asyncio
import json
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_bridge.crc import crc16
from firmware_bridge.hearsay import Hearsay
from firmware_bridge.messages import Channel
from firmware_bridge.probing import BAUDS, Probe
from firmware_bridge.simulated import CHANNELS
from firmware_bridge.values import Kind
from tests.unit.probe_house import LINE, Speaking, every, hurry, on_a_thread, probed
from tests.unit.pty_house import board, plugged

T = Channel(index=0, kind=Kind.FLOAT, name="t")
REFUSED = {
    "channel 't' stands there twice; rename one in the firmware": (T, replace(T, index=1)),
    "channel 'room t': a name has": (replace(T, name="room t"),),
    "its range is 85 to 0; swap them": (replace(T, low=85.0, high=0.0),),
}
WRONG_CHECK = b"temperature=21.5 humidity=40 *0001\r\n"
COMMA = b"temperature=21.5,humidity=40\r\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.mark.parametrize(("why", "channels"), REFUSED.items(), ids=["twice", "name", "range"])
async def test_why_a_board_is_refused_is_told_with_no_file(
    why: str, channels: tuple[Channel, ...], tmp_path: Path
) -> None:
    with on_a_thread(board(channels=channels), tmp_path / "tty0"):
        result = await probed(str(tmp_path / "tty0"), "--write", str(tmp_path / "files"))
    assert result.exit_code == 1
    assert str(result.exception).startswith(f"{tmp_path / 'tty0'}: board sim-1")
    assert why in str(result.exception)
    assert "channel " not in result.stdout  # no empty table
    assert not (tmp_path / "files").exists()


async def test_why_a_board_is_refused_stands_in_json(tmp_path: Path) -> None:
    with on_a_thread(board(channels=(T, replace(T, index=1))), tmp_path / "tty0"):
        result = await probed(str(tmp_path / "tty0"), "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["id"], found["channels"]) == ("sim-1", {})
    assert found["refused"].endswith("channel 't' stands there twice; rename one in the firmware")


async def test_a_refused_board_ends_the_probe_at_once(tmp_path: Path) -> None:
    probe = Probe(str(tmp_path / "tty0"), bauds=BAUDS, seconds=3600.0, tell=lambda _text: None)
    with plugged(board(channels=(T, replace(T, index=1))), tmp_path / "tty0"):
        async with asyncio.timeout(60):
            found = await probe.find()
            assert found is not None
            await probe.watch(found, lambda: None)
        await probe.close()
    assert "stands there twice" in found.refused


async def test_a_board_that_is_served_is_not_refused(tmp_path: Path) -> None:
    with on_a_thread(board(channels=CHANNELS), tmp_path / "tty0"):
        result = await probed(str(tmp_path / "tty0"), "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["refused"], found["damage"]) == ("", "")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (WRONG_CHECK, r"line b'temperature=21.5 humidity=40 *0001\r': damaged, its check does not fit"),
        (COMMA, "line 'temperature=21.5,humidity=40': expected name=value at 'temperature=21.5,hum'"),
    ],
)
async def test_the_newest_line_that_is_not_understood_is_told_with_why(
    line: bytes, why: str, tmp_path: Path
) -> None:
    with Speaking(tmp_path / "tty0", termios.B115200, every(0.05, line)):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200")
    assert result.exit_code == 1
    told = str(result.exception)
    assert f"nothing that is understood at 115200 baud. The newest line of text: {why}" in told
    assert "any speed" not in told
    assert "temperature=21.5 humidity=40, without a check or with the right one" in told


async def test_at_all_speeds_it_is_told_that_it_was_all(tmp_path: Path) -> None:
    with Speaking(tmp_path / "tty0", termios.B9600, every(0.05, COMMA)):
        result = await probed(str(tmp_path / "tty0"), "--seconds", "30")
    assert result.exit_code == 1
    told = str(result.exception)
    assert "nothing that is understood at any speed. The newest line of text at 9600 baud: line '" in told


async def test_noise_at_one_speed_is_not_said_to_be_noise_at_any(tmp_path: Path) -> None:
    with Speaking(tmp_path / "tty0", termios.B9600, every(0.05, LINE)):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200")
    assert result.exit_code == 1
    assert "nothing that is understood at 115200 baud; at 115200 baud they begin" in str(result.exception)


async def test_damage_among_good_lines_is_told_with_why(tmp_path: Path) -> None:
    good = b"temperature=21.5"
    good += b" *%04X\r\n" % crc16(good)
    lines = [each for pair in zip(every(0.05, good), every(0.05, WRONG_CHECK), strict=True) for each in pair]
    with Speaking(tmp_path / "tty0", termios.B115200, lines):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["channels"] == {"temperature": 21.5}
    assert found["damaged"] > 0
    assert found["damage"] == f"line {WRONG_CHECK[:-1]!r}: damaged, its check does not fit"
    with Speaking(tmp_path / "tty1", termios.B115200, lines):
        result = await probed(str(tmp_path / "tty1"), "--baud", "115200")
    assert "damaged, the newest: line b'temperature=21.5 humidity=40" in " ".join(result.stdout.split())


def test_the_newest_line_counts_and_noise_has_no_reason() -> None:
    heard = Hearsay()
    heard.take(b"\xff\xfe\xfd\n" * 3)
    assert heard.why == ""
    heard.take(COMMA + b"Temp: 21.5 C\r\n" + b"\xff\xfe\xfd\n")
    assert heard.why.startswith("line 'Temp: 21.5 C'")
