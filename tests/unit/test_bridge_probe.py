"""`iotxmpp serial`: the speed is found, what speaks is shown, the files that are written load and run."""

import asyncio
import contextlib
import json
import os
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

import device_profiles
from firmware_bridge import candidates as ports
from firmware_bridge import probing
from firmware_bridge.candidates import candidates, holders, ports_of
from firmware_bridge.crc import crc16
from firmware_bridge.hearsay import Hearsay
from firmware_bridge.messages import Channel
from firmware_bridge.noise import NoisyWire
from firmware_bridge.probing import Findings, Probe, Seen
from firmware_bridge.scaffold import guessed_unit, scaffold, slug
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.values import Kind
from iotxmpp.account import Account
from iotxmpp.agent.config import load_agent
from iotxmpp.agent.drivers import create_driver
from iotxmpp.cli import plugins
from iotxmpp.cli.app import app
from iotxmpp.profiles import Profile, parse_profile
from tests.unit.pty_house import Plugged, board, plugged, set_command, until
from tests.unit.stand_ins import ESPTOOL, stand_in

RUNNER = CliRunner()


class OtherSpeed(NoisyWire):
    """A wire that gives noise unless the host listens at the right speed."""

    def __init__(self, speed: int) -> None:
        super().__init__(1)
        self._speed = speed
        self.master = -1

    def carry(self, data: bytes) -> bytes:
        if self.master < 0 or termios.tcgetattr(self.master)[5] != self._speed:
            return bytes(byte ^ 0xA5 for byte in data)
        return data


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "STARTS", 0.6)
    monkeypatch.setattr(probing, "LISTENS", 0.3)
    monkeypatch.setattr(probing, "PATIENT", 0.6)
    monkeypatch.setattr(probing, "LASTS", 1.5)
    monkeypatch.setattr(probing, "SHOWS", 0.3)


async def found_by(probe: Probe) -> Findings | None:
    try:
        return await probe.find()
    finally:
        await probe.close()


def speaking_at(speed: int, uno: SimulatedBoard, path: Path) -> Plugged:
    wire = OtherSpeed(speed)
    house = Plugged(uno, path, up=wire)
    wire.master = house.master
    return house


@pytest.mark.parametrize(("level", "speed", "baud"), [(0, termios.B9600, 9600), (1, termios.B57600, 57_600)])
async def test_the_speed_is_found(tmp_path: Path, level: int, speed: int, baud: int) -> None:
    house = speaking_at(speed, board(level=level, every=0.02), tmp_path / "tty0")
    told: list[str] = []
    try:
        found = await found_by(Probe(str(tmp_path / "tty0"), tell=told.append))
    finally:
        house.pull()
    assert found is not None
    assert found.baud == baud
    assert told[0].endswith("listening at 115200 baud")


async def test_a_silent_port_says_what_may_be_wrong(tmp_path: Path) -> None:
    uno = board()
    uno.silent = True
    with plugged(uno, tmp_path / "tty0"):
        probe = Probe(str(tmp_path / "tty0"), bauds=(115_200, 9600), tell=lambda _text: None)
        start = time.monotonic()
        assert await found_by(probe) is None
        assert 1.4 < time.monotonic() - start < 4.0
        assert "nothing came at any speed" in probe.nothing()
        assert "reset button" in probe.nothing()
        assert "--baud" in probe.nothing()
        assert "--seconds" in probe.nothing()


async def test_text_of_another_form_is_shown_as_it_is(tmp_path: Path) -> None:
    uno = board(level=0, every=0.0)
    with plugged(uno, tmp_path / "tty0") as house:
        probe = Probe(str(tmp_path / "tty0"), bauds=(115_200,), tell=lambda _text: None)
        finding = asyncio.create_task(found_by(probe))
        await asyncio.sleep(0.1)
        uno.silent = True
        for _ in range(20):
            house.write(b"Temp: 21.5 C\r\n")
        assert await finding is None
        assert "Temp: 21.5 C" in probe.nothing()


def test_points_tell_lines_and_frames_from_noise() -> None:
    lines, noise, air = Hearsay(), Hearsay(), Hearsay()
    lines.take(b"perature=2\ntemperature=21.5\n" * 5)
    noise.take(bytes(byte ^ 0xA5 for byte in b"temperature=21.5\r\n" * 20) + b"\n" * 3)
    air.take(bytes.fromhex("424d001c000500080009000500080009039f01090034000500010000970002cf") * 3)
    assert lines.is_sure
    assert noise.worth <= 0
    assert not noise.is_sure


@pytest.mark.parametrize(
    "line",
    [b"@hello id=shed-1 version=1.0.0\n", b"temperature=21.5 *" + b"%04X\n" % crc16(b"temperature=21.5")],
)
def test_one_hello_or_one_check_is_sure_and_one_line_is_good(line: bytes) -> None:
    vouched, plain, damaged = Hearsay(), Hearsay(), Hearsay()
    vouched.take(b"\xff\xfe\n\xfd\n" + line)
    assert vouched.is_sure
    plain.take(b"temperature=21.5\n")
    assert (plain.is_sure, plain.is_good) == (False, True)
    damaged.take(b"\n\xff\xfe\n\xfd\ntemperature=21.5\n")
    assert not damaged.is_good
    damaged.take(b"temperature=21.5\n")
    assert damaged.is_sure


class Speaking:
    """A sketch without a library on a pty: at another speed what it says is noise.

    Args:
        path: The link that leads to the pty.
        speed: Its speed.
        lines: What it prints, each at so many seconds after the port was first opened at any speed.
    """

    def __init__(self, path: Path, speed: int, lines: list[tuple[float, bytes]]) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._idle = termios.tcgetattr(self._slave)
        path.symlink_to(os.ttyname(self._slave))
        self._speed, self._lines = speed, lines
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._speak)

    def __enter__(self) -> None:
        os.set_blocking(self._master, False)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def _speak(self) -> None:
        while termios.tcgetattr(self._slave) == self._idle:  # until the port is opened
            if self._stop.wait(0.01):
                return
        start = time.monotonic()
        for at, line in self._lines:
            if self._stop.wait(max(0.0, start + at - time.monotonic())):
                return
            right = termios.tcgetattr(self._slave)[4] == self._speed
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, line if right else bytes(byte | 0x80 for byte in line))


def every(seconds: float, line: bytes, first: float = 0.0) -> list[tuple[float, bytes]]:
    return [(first + number * seconds, line) for number in range(100)]


HELLO = b"@hello id=weather-1 name=weather version=1.0.0\r\n"
LINE = b"temperature=21.5 light=300\r\n"


async def probed(*words: str) -> Result:
    return await asyncio.to_thread(RUNNER.invoke, app, ["serial", "probe", *words])


async def test_a_slow_sketchs_first_words_are_kept_for_the_files(tmp_path: Path) -> None:
    spoken = [(0.2, HELLO), *every(30.0, LINE, 0.25)]
    with Speaking(tmp_path / "tty0", termios.B115200, spoken):
        result = await probed(str(tmp_path / "tty0"), "--write", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    kind, _ = written(tmp_path / "out")
    assert (kind.id, set(kind.channels())) == ("weather", {"temperature", "light"})
    assert 'board = "weather-1"' in (tmp_path / "out" / "agent.toml").read_text()


async def test_a_sketch_without_a_hello_that_speaks_seldom_is_found(tmp_path: Path) -> None:
    told: list[str] = []
    probe = Probe(str(tmp_path / "tty0"), bauds=(115_200, 9600), seconds=8.0, tell=told.append)
    with Speaking(tmp_path / "tty0", termios.B9600, [(0.3, LINE), *every(0.45, LINE, 1.8)]):
        found = await found_by(probe)
    assert found is not None
    assert found.baud == 9600
    assert "speaks seldom" in told[-1]
    assert "115200" not in told[-1]  # noise came there


async def test_one_good_line_at_a_speed_beats_going_on(tmp_path: Path) -> None:
    told: list[str] = []
    with Speaking(tmp_path / "tty0", termios.B9600, every(0.25, LINE, 0.1)):
        found = await found_by(Probe(str(tmp_path / "tty0"), tell=told.append))
    assert found is not None
    assert found.baud == 9600
    assert len(told) == 2


async def test_at_a_given_speed_it_listens_for_the_given_seconds(tmp_path: Path) -> None:
    words = (str(tmp_path / "tty0"), "--baud", "115200", "--seconds", "2.5")
    with Speaking(tmp_path / "tty0", termios.B115200, [(1.6, HELLO), (1.65, LINE)]):
        start = time.monotonic()
        result = await probed(*words, "--json")
        assert 2.4 < time.monotonic() - start < 4.5
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["id"], found["channels"]["light"]) == ("weather-1", 300)


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


@contextmanager
def on_a_thread(uno: SimulatedBoard, path: Path) -> Iterator[None]:
    """A board whose loop is not that of the program under test."""
    ready, stop = threading.Event(), threading.Event()

    async def live() -> None:
        with plugged(uno, path):
            ready.set()
            await until(stop.is_set, 60.0)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(5)
    try:
        yield
    finally:
        stop.set()
        thread.join()


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


def test_strange_names_make_good_files() -> None:
    findings = Findings(port="/dev/ttyUSB0", baud=9600)
    for name, value in (("a/b", 1), ("pm2.5", 2.5), ("mode", "auto"), ("relay/2", True)):
        findings.channels[name] = Seen(value=value)
        findings.channels[name].note(value, 0.0)
    findings.events["pressed"] = "long"
    made = scaffold(findings, ports={"/dev/ttyUSB0": "/dev/serial/by-path/pci-0"})
    kind = parse_profile(made.profile, "made")
    assert set(kind.channels()) == {"a-b", "pm2.5", "mode", "relay-2", "pressed"}
    assert kind.readings["relay-2"].source == {"name": "relay/2"}
    assert 'port = "/dev/serial/by-path/pci-0"' in made.agent
    assert "baud = 9600" in made.profile
    assert slug("Über Bord!") == "ber-bord"


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
