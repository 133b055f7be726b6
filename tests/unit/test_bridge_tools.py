"""The programs that write firmware: their words as they take them, and what they print at a terminal."""

import sys
import time
from pathlib import Path

import pytest

from firmware_bridge.flash import Said, command_line, run_tool
from firmware_bridge.flashing import planned
from firmware_bridge.settings import ToolName
from iotxmpp.errors import CommandFailedError, ConfigError
from tests.unit.stand_ins import ESPTOOL, SMPMGR, stand_in


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is searched first, and a firmware."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (tmp_path / "new.bin").write_text("firmware")
    return folder


async def ran(
    folder: Path, tool: ToolName, *more: str, quiet: float = 5.0
) -> tuple[list[str], list[tuple[str, float]]]:
    """Runs a program; returns its last lines and its progress."""
    shown: list[tuple[str, float]] = []
    words = command_line(tool, "PORT", folder / "new.bin", more)
    last = await run_tool(
        words, timeout=30.0, quiet=quiet, progress=lambda phase, share: shown.append((phase, share))
    )
    return last, shown


@pytest.mark.parametrize(
    ("more", "understood"),
    [
        (["0x0"], "None None None 0x0"),
        (["--chip", "esp32"], "esp32 None None 0x10000"),
        (["--chip=esp32", "--baud", "921600", "0x0"], "esp32 921600 None 0x0"),
        (["--flash-mode", "dio", "-b", "460800", "-e", "0x8000"], "None 460800 dio 0x8000"),
        (["-cesp32", "--no-stub", "--flash-mode", "dio"], "esp32 None dio 0x10000"),
    ],
)
async def test_esptool_is_given_each_word_where_it_takes_it(
    tmp_path: Path, programs: Path, more: list[str], understood: str
) -> None:
    stand_in(programs, "esptool", ESPTOOL)
    last, shown = await ran(tmp_path, "esptool", *more)
    assert last[-1] == understood
    assert shown[-1] == ("writing", 1.0)


async def test_an_upload_that_takes_longer_than_silence_may_shows_its_bar(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stand_in(programs, "smpmgr", SMPMGR)
    folder = tmp_path / "a-long-name" / ("of-a-folder" * 10)
    folder.mkdir(parents=True)
    (folder / "new.bin").write_text("firmware")
    start = time.monotonic()
    last, shown = await ran(folder, "smpclient", "--baudrate", "921600", "--slot", "1", quiet=1.5)
    assert time.monotonic() - start > 2.5
    assert last[-1] == "upgraded slot 1 False 921600"
    assert len(shown) > 10
    assert [share for _, share in shown] == sorted(share for _, share in shown)
    assert shown[-1] == ("writing", 1.0)
    assert not any("\x1b" in line for line in last)


async def test_a_bar_that_is_drawn_again_and_gets_no_further_is_silence(
    tmp_path: Path, programs: Path
) -> None:
    stand_in(programs, "smpmgr", SMPMGR, "hang")
    with pytest.raises(CommandFailedError, match=r"smpmgr said nothing new for 1\.5 s and was ended"):
        await ran(tmp_path, "smpclient", quiet=1.5)


async def test_an_option_in_the_wrong_place_is_the_programs_own_error(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "smpmgr", SMPMGR)
    with pytest.raises(CommandFailedError, match="unrecognized arguments: --hammer"):
        await ran(tmp_path, "smpclient", "--hammer")


def test_a_program_that_pip_put_beside_ours_is_found_without_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    stand_in(folder, "smpmgr", SMPMGR)
    (tmp_path / "new.bin").write_text("firmware")
    monkeypatch.setattr(sys, "prefix", str(folder.parent))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_line("smpclient", "PORT", tmp_path / "new.bin", [])[0] == str(folder / "smpmgr")


@pytest.mark.parametrize(
    ("known", "more", "joined"),
    [
        (["-b", "57600"], ["-v"], ["-b", "57600", "-v"]),
        (["--chip", "esp32", "0x8000"], ["-e"], ["--chip", "esp32", "-e", "0x8000"]),
        (["--chip", "esp32", "0x8000"], ["-e", "0x0"], ["--chip", "esp32", "-e", "0x0"]),
        (["-e", "0x8000"], [], ["-e", "0x8000"]),
    ],
)
def test_arguments_are_added_to_those_of_the_agents_file(
    tmp_path: Path, known: list[str], more: list[str], joined: list[str]
) -> None:
    agent = tmp_path / "agent.toml"
    tool = "avrdude" if "-b" in known else "esptool"
    agent.write_text(
        'account = "a.toml"\nprofile = "weather-station"\n'
        f'[driver.flash]\ntool = "{tool}"\narguments = {known}\n'
    )
    update, _ = planned(["new.bin", *more], agent=agent, tool=None, expect="1", baud=None, timeout=None)
    assert list(update.flash.arguments) == joined


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "#!/nowhere/python\n",
            "it, or the interpreter that its first line names, is not there; install it anew",
        ),
        ("echo no first line\n", "it is no program, or one for another kind of machine; install it anew"),
    ],
)
async def test_a_program_that_cannot_be_started_says_what_to_do(
    tmp_path: Path, programs: Path, script: str, why: str
) -> None:
    (programs / "dfu-util").write_text(script)
    (programs / "dfu-util").chmod(0o755)
    with pytest.raises(ConfigError, match=f"{programs}/dfu-util: cannot be started: {why}"):
        await ran(tmp_path, "dfu-util")


async def test_an_argument_that_no_program_takes_is_a_clear_error(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "smpmgr", SMPMGR)
    with pytest.raises(ConfigError, match=r"smpmgr: cannot be started: .*null byte; mend that"):
        await ran(tmp_path, "smpclient", "a\0b")


def test_a_file_that_cannot_be_looked_at_is_a_clear_error(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "smpmgr", SMPMGR)
    with pytest.raises(ConfigError, match="x: cannot be read: File name too long; give the firmware"):
        command_line("smpclient", "PORT", tmp_path / ("x" * 300), [])


def test_a_line_that_was_drawn_again_and_again_is_one_of_the_last_lines() -> None:
    said = Said(progress=lambda _phase, _share: None)
    for percent in range(100):
        said.take(f"\r\x1b[2K\x1b[34mapp.bin {percent}%")
    said.take("\r\n\x1b[1")
    said.take("mfailed\x1b[0m: 12 byt")
    said.take("es\r")
    assert said.last() == ["app.bin 99%", "failed: 12 bytes"]


@pytest.mark.parametrize(
    ("texts", "news"),
    [
        (["Connecting", ".", "."], [True, True, True]),
        (["\r 3% 0:01", "\r 3% 0:02", "\r 4% 0:03"], [True, False, True]),
        (["\r10/99 blocks", "\r11/99 blocks", "\r11/99 blocks"], [True, True, False]),
        (["\r 3%", "\nfailed\n", "\r 3%"], [True, True, False]),
    ],
)
def test_a_line_that_is_drawn_again_is_news_if_it_got_further(texts: list[str], news: list[bool]) -> None:
    said = Said(progress=lambda _phase, _share: None)
    assert [said.take(text) for text in texts] == news
