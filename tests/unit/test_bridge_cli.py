"""`iotxmpp serial`: what it prints of ports and boards, writes to them, and adds to the program."""

import json
import os
import threading
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer

from firmware_bridge import candidates as ports
from firmware_bridge import port
from firmware_bridge.candidates import candidates, holders, ports_of
from firmware_bridge.events import Happened, Sampled
from firmware_bridge.findings import Findings
from firmware_bridge.probeview import print_findings
from iotxmpp.cli import plugins
from iotxmpp.cli.app import app
from tests.unit.probe_house import RUNNER, hurry, on_a_thread
from tests.unit.pty_house import board, set_command
from tests.unit.stand_ins import ESPTOOL, stand_in


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def test_what_is_found_is_printed_as_json(tmp_path: Path) -> None:
    with on_a_thread(board(commands=(set_command(),)), tmp_path / "tty0"):
        result = RUNNER.invoke(app, ["serial", "probe", str(tmp_path / "tty0"), "--seconds", "0.5", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["baud"], found["protocol"], found["id"]) == (115_200, "frames", "sim-1")
    assert found["commands"] == ["set"]
    assert found["channels"]["temperature"] >= 20


def test_the_table_shows_the_readings(tmp_path: Path) -> None:
    with on_a_thread(board(level=0), tmp_path / "tty0"):
        result = RUNNER.invoke(app, ["serial", "probe", str(tmp_path / "tty0"), "--seconds", "0.5"])
    assert result.exit_code == 0, result.output
    assert "temperature" in result.output
    assert "°C" in result.output
    assert not list(tmp_path.glob("*.toml"))


@pytest.mark.parametrize("path", ["/dev/null", "plain"])
def test_what_is_no_serial_port_is_said_so_whoever_holds_it(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "holders", lambda _path: ["bash (process 1)"])
    chosen = tmp_path / path  # an absolute path stays
    if path == "plain":
        chosen.touch()
    result = RUNNER.invoke(app, ["serial", "probe", str(chosen), "--seconds", "0.2"])
    assert str(result.exception) == f"{chosen}: no serial port; see which there are: iotxmpp serial list"


def test_a_name_that_reads_like_a_picture_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    findings = Findings(port="a:x:b", baud=9600)
    findings.hear([Sampled(values={"c:x:d": 1.0}, at=0.0), Happened(name="e:x:f", text="g:x:h", at=0.0)])
    print_findings(findings, as_json=False)
    shown = capsys.readouterr().out
    assert all(each in shown for each in ("a:x:b", "c:x:d", "!e:x:f", "g:x:h"))


def fake_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    dev = tmp_path / "dev"
    (dev / "serial" / "by-path").mkdir(parents=True)
    for name in ("ttyUSB0", "ttyUSB1", "ttyACM0", "ttyAMA0", "tty1"):
        (dev / name).touch()
    (dev / "serial" / "by-path" / "pci-0-port0").symlink_to(dev / "ttyUSB1")
    monkeypatch.setattr(ports, "DEV", dev)
    return dev


def test_candidates_are_the_ports_of_usb_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dev = fake_devices(tmp_path, monkeypatch)
    assert [Path(each.path).name for each in candidates()] == ["ttyUSB0", "ttyUSB1", "ttyACM0"]
    assert [Path(each.path).name for each in candidates(all_kinds=True)][-1] == "ttyAMA0"
    assert candidates()[1].lasting == str(dev / "serial/by-path/pci-0-port0")
    assert ports_of(None) == [each.path for each in candidates()]
    assert ports_of(f"{dev}/*USB1") == [str(dev / "ttyUSB1")]
    assert len(ports_of(f"{dev}/serial/*/*")) == 1
    assert ports_of("socket://a:1") == ["socket://a:1"]


def test_the_list_says_where_each_port_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_devices(tmp_path, monkeypatch)
    result = RUNNER.invoke(app, ["serial", "list", "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.output)
    assert len(rows) == 4
    assert rows[1]["by path"].endswith("pci-0-port0")
    several = RUNNER.invoke(app, ["serial", "probe"])
    assert "several ports; give one" in str(several.exception)


def test_our_own_process_is_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w"):
        assert holders(str(path)) == []
        child = os.fork()
        if child == 0:  # it has the file open, too
            threading.Event().wait(10)
            os._exit(0)
        try:
            assert any(f"process {child}" in each for each in holders(str(path)))
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


def test_a_plug_in_that_cannot_be_loaded_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint(name="broken", value="no_such_module:app", group=plugins.GROUP),
        EntryPoint(name="odd", value="json:dumps", group=plugins.GROUP),
        EntryPoint(name="serial", value="firmware_bridge.cli:app", group=plugins.GROUP),
        EntryPoint(name="own", value="no_such_module:app", group=plugins.GROUP),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda **_: points)
    tree = typer.Typer()
    tree.command("own")(lambda: typer.echo("ours"))
    plugins.add_plugins(tree)
    shown = RUNNER.invoke(tree, ["--help"]).output
    for name in ("broken", "odd", "serial", "own"):
        assert name in shown
    assert "cannot be loaded: ModuleNotFoundError" in str(RUNNER.invoke(tree, ["broken", "x"]).exception)
    assert "no typer.Typer" in str(RUNNER.invoke(tree, ["odd"]).exception)
    assert RUNNER.invoke(tree, ["own"]).output == "ours\n"
    assert "probe" in RUNNER.invoke(tree, ["serial", "--help"]).output


def test_firmware_is_written_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    told = stand_in(folder, "esptool", ESPTOOL)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (tmp_path / "new.bin").write_text("firmware")
    port, file = str(tmp_path / "tty0"), str(tmp_path / "new.bin")
    words = ["serial", "flash", port, file, "--tool", "esptool", "--expect"]
    with on_a_thread(board(version="1.2.0"), tmp_path / "tty0"):
        good = RUNNER.invoke(app, [*words, "1.2.0", "--again", "--", "0x8000"])
        assert good.exit_code == 0, good.output
        assert "writing 100 %" in good.output
        assert "done: the board says version 1.2.0" in good.output
        assert told.read_text() == "written"
        same = RUNNER.invoke(app, [*words, "1.2.0"])
        assert same.exit_code == 1
        assert "already ran that version" in str(same.exception)
        bad = RUNNER.invoke(app, [*words, "1.3.0"])
        assert bad.exit_code == 1
        assert "says version 1.2.0, not 1.3.0" in str(bad.exception)
    missing = RUNNER.invoke(app, ["serial", "flash", file, "--tool", "esptool", "--expect", "1"])
    assert "give PORT FILE" in str(missing.exception)


def test_serial_is_among_the_commands() -> None:
    assert "serial" in RUNNER.invoke(app, ["--help"]).output
