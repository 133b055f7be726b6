"""`iotxmpp serial probe --write`: the files that are written load and run."""

import asyncio
import shlex
import termios
from pathlib import Path

import pytest
from pydantic import SecretStr

import device_profiles
from firmware_bridge.findings import Seen
from firmware_bridge.messages import Channel
from firmware_bridge.scaffold import guessed_unit
from firmware_bridge.values import Kind
from iotxmpp.account import Account
from iotxmpp.agent.config import load_agent
from iotxmpp.agent.drivers import create_driver
from iotxmpp.cli.app import app
from iotxmpp.profiles import Profile
from tests.unit.probe_house import HELLO, LINE, RUNNER, Speaking, every, hurry, on_a_thread, probed
from tests.unit.pty_house import board, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def test_a_slow_sketchs_first_words_are_kept_for_the_files(tmp_path: Path) -> None:
    spoken = [(0.2, HELLO), *every(30.0, LINE, 0.25)]
    with Speaking(tmp_path / "tty0", termios.B115200, spoken):
        result = await probed(str(tmp_path / "tty0"), "--write", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    kind, _ = written(tmp_path / "out")
    assert (kind.id, set(kind.channels())) == ("weather", {"temperature", "light"})
    assert 'board = "weather-1"' in (tmp_path / "out" / "agent.toml").read_text()


@pytest.mark.parametrize(
    ("spoken", "said"),
    [
        ([], "nothing came at 115200 baud"),
        ([(0.1, HELLO)], "no reading came, so no file was written"),
        (every(0.1, b"Temp: 21.5 C\r\n"), "nothing that is understood"),
    ],
)
async def test_without_a_reading_no_file_is_written(
    tmp_path: Path, spoken: list[tuple[float, bytes]], said: str
) -> None:
    words = (str(tmp_path / "tty0"), "--baud", "115200", "--seconds", "1", "--write", str(tmp_path / "out"))
    with Speaking(tmp_path / "tty0", termios.B115200, spoken):
        result = await probed(*words)
    assert result.exit_code == 1
    assert said in str(result.exception)
    assert "--seconds" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("temperature", "Cel"),
        ("temp_2", "Cel"),
        ("humidity", "%RH"),
        ("pressure", "hPa"),
        ("co2", "ppm"),
        ("light", "lx"),
        ("soil", "/100"),
        ("distance", "cm"),
        ("voltage", "V"),
        ("count", ""),
    ],
)
def test_units_are_guessed_by_names(name: str, unit: str) -> None:
    assert guessed_unit(name, None) == unit


def test_a_pressure_in_pascal_is_seen_by_its_size() -> None:
    seen = Seen(value=0.0)
    seen.note(101_325.0, 1.0)
    assert guessed_unit("pressure", seen) == "Pa"


def account(folder: Path, name: str) -> None:
    Account(jid=f"{name}@example.org", password=SecretStr("secret")).save(folder / f"{name}.account.toml")


def written(folder: Path) -> tuple[Profile, str]:
    profiles = list(folder.glob("*.profile.toml"))
    assert len(profiles) == 1
    return device_profiles.load_file(profiles[0]), profiles[0].read_text()


@pytest.mark.parametrize("level", [0, 1])
async def test_the_files_that_are_written_load_and_run(tmp_path: Path, level: int) -> None:
    channels = (
        Channel(index=0, kind=Kind.FLOAT, name="temperature", unit="Cel", low=-40, high=85),
        *(Channel(index=n, kind=Kind.BOOL, name=f"relay/{n}") for n in (1, 2, 3)),
        Channel(index=4, kind=Kind.INT, name="light"),
    )
    uno = board(level=level, id="shed-1", name="Shed_Board", channels=channels)
    folder = tmp_path / "out"
    port = str(tmp_path / "tty0")
    words = ["serial", "probe", port, "--seconds", "0.6", "--write", str(folder)]
    with on_a_thread(uno, tmp_path / "tty0"):
        result = await asyncio.to_thread(RUNNER.invoke, app, words)
        assert result.exit_code == 0, result.output
        assert "iotxmpp device add shed-1" in result.output
        kind, text = written(folder)
        assert (kind.id, kind.driver.kind) == ("shed-board", "serial")
        assert set(kind.channels()) == {"temperature", "light", "relay/1", "relay/2", "relay/3"}
        assert kind.readings["temperature"].unit == "Cel"
        assert ("# check" in text) == (level == 0)
        assert list(kind.commands) == (["set"] if level else [])
        account(folder, "shed-1")
        load_agent(folder / "agent.toml")
        async with create_driver(kind, {"port": port, "board": "shed-1"}) as driver:
            await until(lambda: driver._ear._last)  # type: ignore[attr-defined]  # a serial driver's
            known = await driver.read()
            assert isinstance(known["temperature"], float)
        again = await asyncio.to_thread(RUNNER.invoke, app, words)
        assert again.exit_code == 1
        assert "already there" in str(again.exception)
        forced = await asyncio.to_thread(RUNNER.invoke, app, [*words, "--force"])
        assert forced.exit_code == 0


def test_the_commands_that_come_next_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "it's my dir"
    words = ["serial", "probe", str(tmp_path / "tty0"), "--seconds", "0.6", "--write", str(folder)]
    with on_a_thread(board(id="shed-1"), tmp_path / "tty0"):
        result = RUNNER.invoke(app, words)
    assert result.exit_code == 0, result.output
    *_, add, run = result.output.splitlines()
    account_file = str(folder / "shed-1.account.toml")
    assert shlex.split(add) == ["iotxmpp", "device", "add", "shed-1", "--output", account_file]
    assert shlex.split(run) == ["iotxmpp", "agent", "run", str(folder / "agent.toml")]
