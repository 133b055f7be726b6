"""New firmware for a board: stand-ins for the programs, the real avrdude, and the hello that counts."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge import candidates, updating
from firmware_bridge.driver import SerialDriver
from firmware_bridge.flash import Said, command_line, run_tool
from firmware_bridge.flashing import flash_now, planned
from firmware_bridge.simulated import SimulatedBoard
from iotxmpp.agent.drivers import create_driver
from iotxmpp.errors import ArgumentsError, CommandError, CommandFailedError, ConfigError
from tests.unit.pty_house import SET, Plugged, board, driver, plugged, profile, taking, until
from tests.unit.stand_ins import AVRDUDE, Optiboot, stand_in

UPDATE = {"timeout": 60, "args": {"file": {"type": "str"}, "expect": {"type": "str"}}}
HEX = ":10000000" + "0C" * 16 + "30\n:00000001FF\n"


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is searched first, and a firmware."""
    monkeypatch.setattr(updating, "STILL_OLD", 0.5)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (tmp_path / "new.hex").write_text(HEX)
    return folder


@contextmanager
def reborn(told: Path, uno: SimulatedBoard, house: Plugged, version: str = "1.2.0") -> Iterator[None]:
    """Restarts the board with its new version once the program has written it."""

    async def watch() -> None:
        await until(lambda: told.read_text() == "written", 30.0)
        uno.version = version
        uno.restart(asyncio.get_running_loop().time())
        house._turn()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


async def flashed(
    folder: Path, *more: str, tool: str = "avrdude", timeout: float = 20.0, again: bool = False
) -> tuple[str, list[str]]:
    shown: list[str] = []
    update, settings = planned(
        [str(folder / "tty0"), str(folder / "new.hex"), *more],
        agent=None,
        tool=tool,
        expect="1.2.0",
        baud=None,
        timeout=timeout,
        again=again,
    )
    settings = settings.model_copy(update={"reset_wait": 0.3})
    flash = update.flash.model_copy(update={"hello_within": 4.0, "quiet": 2.0})
    update = type(update)(**{**vars(update), "flash": flash, "reset_wait": 0.3})
    version = await flash_now(update, settings, lambda phase, share: shown.append(f"{phase} {share:.0%}"))
    return version, shown


async def test_only_a_hello_with_the_new_version_is_success(tmp_path: Path, programs: Path) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    uno = board()
    with plugged(uno, tmp_path / "tty0") as house, reborn(told, uno, house):
        version, shown = await flashed(tmp_path)
    assert version == "1.2.0"
    assert shown[0].startswith("writing ")
    assert shown[-1] == "writing 100%"
    assert len(shown) >= 3


async def test_a_program_that_leaves_the_old_version_is_an_error(tmp_path: Path, programs: Path) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    with (
        plugged(board(), tmp_path / "tty0"),
        pytest.raises(CommandFailedError, match=r"says version 1\.0\.0, not 1\.2\.0.*Thank you"),
    ):
        await flashed(tmp_path)
    assert told.read_text() == "written"


async def test_a_board_that_is_silent_afterwards_is_an_error(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "avrdude", AVRDUDE)
    uno = board()
    uno.silent = True
    with plugged(uno, tmp_path / "tty0"), pytest.raises(CommandFailedError, match="gave no hello within 4 s"):
        await flashed(tmp_path)


async def test_a_program_that_fails_is_told_with_its_last_lines(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "avrdude", AVRDUDE, "fail")
    with (
        plugged(board(), tmp_path / "tty0"),
        pytest.raises(CommandFailedError, match=r"failed with code 1;.*programmer is not responding"),
    ):
        await flashed(tmp_path)


async def test_a_program_that_hangs_is_ended(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "avrdude", AVRDUDE, "hang")
    with plugged(board(), tmp_path / "tty0"):
        start = time.monotonic()
        with pytest.raises(CommandFailedError, match="said nothing new for 2 s and was ended"):
            await flashed(tmp_path)
        with pytest.raises(CommandFailedError, match="took more than 1 s and was ended"):
            await flashed(tmp_path, timeout=1.0)
        assert time.monotonic() - start < 15


async def test_what_a_program_started_is_ended_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    words = ["sh", "-c", f"sleep 60 & echo $! > {note}; echo started; wait"]
    with pytest.raises(CommandFailedError, match="last lines: started"):
        await run_tool(words, timeout=1.0, quiet=1.0, progress=lambda _phase, _share: None)
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        await until(lambda: not Path(f"/proc/{int(note.read_text())}/fd").exists() or _is_zombie(note), 3.0)


def _is_over(note: Path) -> bool:
    return not Path(f"/proc/{int(note.read_text())}").exists() or _is_zombie(note)


def _is_zombie(note: Path) -> bool:
    return ") Z" in Path(f"/proc/{int(note.read_text())}/stat").read_text()


async def test_what_a_program_leaves_behind_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    words = ["sh", "-c", f"sleep 60 & echo $! > {note}; echo done"]
    start = time.monotonic()
    last = await run_tool(words, timeout=20.0, quiet=10.0, progress=lambda _phase, _share: None)
    assert last == ["done"]
    assert time.monotonic() - start < 8
    assert _is_over(note)


async def test_the_last_words_of_a_program_that_goes_on_silently_are_kept() -> None:
    words = ["sh", "-c", "echo last; exec >&- 2>&-; sleep 0.3; exit 3"]
    with pytest.raises(CommandFailedError, match="failed with code 3; its last lines: last"):
        await run_tool(words, timeout=20.0, quiet=10.0, progress=lambda _phase, _share: None)


async def moved(house: Plugged, uno: SimulatedBoard, told: Path, place: Path, houses: list[Plugged]) -> None:
    """Plugs the board in again at another name once it is written."""
    await until(lambda: told.read_text() == "written", 30.0)
    house.pull()
    await asyncio.sleep(0.2)
    uno.version = "1.2.0"
    houses.append(Plugged(uno, place))


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dev"
    folder.mkdir()
    monkeypatch.setattr(candidates, "DEV", folder)
    return folder


async def test_a_board_without_a_port_may_come_back_under_another_name(
    tmp_path: Path, programs: Path, dev: Path
) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    uno = board(id="shed-1")
    kind = profile(commands={"set": SET, "firmware-update": UPDATE})
    flash = {"tool": "avrdude", "folder": str(tmp_path), "hello_within": 6.0}
    settings = {"board": "shed-1", "reset_wait": 0.3, "flash": flash}
    house, houses = Plugged(uno, dev / "ttyACM0"), list[Plugged]()
    moving = asyncio.create_task(moved(house, uno, told, dev / "ttyACM1", houses))
    try:
        with plugged(board(id="other", version="1.2.0"), dev / "ttyACM7"):
            async with SerialDriver(profile=kind, settings=settings) as opened:
                arguments = {"file": "new.hex", "expect": "1.2.0"}
                assert await opened.command("firmware-update", arguments) == {"version": "1.2.0"}
    finally:
        moving.cancel()
        for each in [house, *houses]:
            each.pull()


@pytest.mark.parametrize("named", [True, False])
async def test_from_the_command_line_it_may_come_back_under_another_name(
    tmp_path: Path, programs: Path, dev: Path, named: bool
) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    agent = tmp_path / "agent.toml"
    driver_ = 'driver.board = "shed-1"\n' if named else ""
    agent.write_text(f'account = "a.toml"\nprofile = "weather-station"\n{driver_}driver.reset_wait = 0.3\n')
    uno = board(id="shed-1")
    update, settings = planned(
        [str(tmp_path / "new.hex")], agent=agent, tool="avrdude", expect="1.2.0", baud=None, timeout=20
    )
    house, houses = Plugged(uno, dev / "ttyACM0"), list[Plugged]()
    moving = asyncio.create_task(moved(house, uno, told, dev / "ttyACM1", houses))
    try:
        assert await flash_now(update, settings, lambda _phase, _share: None) == "1.2.0"
    finally:
        moving.cancel()
        for each in [house, *houses]:
            each.pull()


@pytest.mark.parametrize("level", [0, 1])
async def test_a_program_that_writes_nothing_is_no_success(
    tmp_path: Path, programs: Path, level: int
) -> None:
    stand_in(programs, "avrdude", AVRDUDE)
    with plugged(board(version="1.2.0", level=level), tmp_path / "tty0"):
        with pytest.raises(CommandFailedError, match=r"already ran that version, 1\.2\.0.*--again"):
            await flashed(tmp_path)
        assert (await flashed(tmp_path, again=True))[0] == "1.2.0"


@pytest.mark.parametrize("level", [0, 1])
async def test_another_boot_of_the_same_version_is_no_success(
    tmp_path: Path, programs: Path, level: int
) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    uno = board(version="1.2.0", level=level)
    with plugged(uno, tmp_path / "tty0") as house:
        boot = uno.boot
        same = pytest.raises(CommandFailedError, match=r"already ran that version, 1\.2\.0.*--again")
        with reborn(told, uno, house), same:
            await flashed(tmp_path)
        assert uno.boot != boot
        told.write_text("good")
        with reborn(told, uno, house):
            assert (await flashed(tmp_path, again=True))[0] == "1.2.0"


def test_a_missing_program_says_how_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "new.hex"
    for tool, advice in (
        ("avrdude", "sudo apt install avrdude"),
        ("dfu-util", "sudo apt install dfu-util"),
        ("esptool", "pip install 'esptool>=5'"),
        ("smpclient", "pip install smpmgr"),
    ):
        with pytest.raises(ConfigError, match=f"is not installed; {advice}"):
            command_line(tool, "P", file, [])  # type: ignore[arg-type]  # each of them is one


def test_the_callers_own_arguments_replace_the_defaults(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "avrdude", AVRDUDE)
    file = tmp_path / "new.hex"
    words = command_line("avrdude", "P", file, ["-c", "wiring", "-patmega2560"])
    assert words[1:] == [
        "-b",
        "115200",
        "-c",
        "wiring",
        "-patmega2560",
        "-P",
        "P",
        "-D",
        "-U",
        f"flash:w:{file}",
    ]
    with pytest.raises(ConfigError, match="no such file"):
        command_line("avrdude", "P", tmp_path / "none.hex", [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Download\t[=========    ]  45%   1234 bytes", [("download", 0.45)]),
        ("Writing at 0x00010000... (12 %)\r", [("writing", 0.12)]),
        ("Reading | ##########", [("reading", 0.2)]),
        ("image 100% uploaded, 3.0 of 3.0", [("upload", 1.0)]),
        ("version 1.12.3 of 7 parts", []),
    ],
)
def test_progress_is_read_from_what_programs_print(text: str, shown: list[tuple[str, float]]) -> None:
    seen: list[tuple[str, float]] = []
    said = Said(progress=lambda phase, share: seen.append((phase, share)))
    for character in text:
        said.take(character)
    assert seen[-1:] == shown[-1:]


async def test_an_agents_driver_gives_its_port_away_and_takes_it_back(tmp_path: Path, programs: Path) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    uno = board()
    kind = profile(commands={"set": SET, "firmware-update": UPDATE})
    flash = {"tool": "avrdude", "folder": str(tmp_path), "hello_within": 4.0}
    with plugged(uno, tmp_path / "tty0") as house, reborn(told, uno, house):
        async with driver(tmp_path / "tty0", kind, flash=flash) as opened, taking(opened) as taken:
            update = asyncio.create_task(
                opened.command("firmware-update", {"file": "new.hex", "expect": "1.2.0"})
            )
            await asyncio.sleep(0)
            with pytest.raises(CommandError, match="not started: the board's firmware is being updated"):
                await opened.command("set", {"number": 1})
            assert await update == {"version": "1.2.0"}
            taken.samples.clear()
            await until(lambda: len(taken.samples) > 2)
            assert await opened.command("set", {"number": 2}) == 2
            assert taken.error is None
            with pytest.raises(ArgumentsError, match="no plain name"):
                await opened.command("firmware-update", {"file": "../new.hex", "expect": "1"})
            with pytest.raises(CommandError, match=r"not started: .*no such file"):
                await opened.command("firmware-update", {"file": "none.hex", "expect": "1"})
            stand_in(programs, "avrdude", AVRDUDE, "fail")
            with pytest.raises(CommandFailedError, match="not responding"):
                await opened.command("firmware-update", {"file": "new.hex", "expect": "1.3.0"})
            assert await opened.command("set", {"number": 3}) == 3


@pytest.mark.parametrize("named", [{"folder": "firmware"}, {}])
async def test_the_folder_of_the_firmware_lies_beside_the_agents_file(
    tmp_path: Path, programs: Path, named: dict[str, str]
) -> None:
    told = stand_in(programs, "avrdude", AVRDUDE)
    uno = board()
    folder = tmp_path / "home" / "firmware"
    folder.mkdir(parents=True)
    (folder / "new.hex").write_text(HEX)
    kind = profile(commands={"set": SET, "firmware-update": UPDATE})
    flash = {"tool": "avrdude", "hello_within": 4.0, **named}
    settings = {"port": str(tmp_path / "tty0"), "reset_wait": 0.3, "flash": flash}
    with plugged(uno, tmp_path / "tty0") as house, reborn(told, uno, house):
        async with create_driver(kind, settings, folder=folder.parent) as opened:
            arguments = {"file": "new.hex", "expect": "1.2.0"}
            assert await opened.command("firmware-update", arguments) == {"version": "1.2.0"}


async def test_a_port_that_an_agent_holds_is_refused_with_what_to_do(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "avrdude", AVRDUDE)
    with plugged(board(), tmp_path / "tty0"):
        async with driver(tmp_path / "tty0"):
            with pytest.raises(CommandFailedError, match=r"held by.*call its command firmware-update"):
                await flashed(tmp_path)


def test_options_that_do_not_say_enough_are_refused(tmp_path: Path) -> None:
    def plan(*words: str, agent: Path | None = None, tool: str | None = "avrdude") -> object:
        return planned(words, agent=agent, tool=tool, expect="1", baud=None, timeout=None)

    with pytest.raises(ConfigError, match="give PORT FILE"):
        plan("new.hex")
    with pytest.raises(ConfigError, match="use one of avrdude"):
        plan("P", "new.hex", tool="hammer")
    with pytest.raises(ConfigError, match=r"which program.*--tool avrdude\|esptool"):
        plan("P", "new.hex", tool=None)
    agent = tmp_path / "agent.toml"
    agent.write_text('account = "a.toml"\nprofile = "bme280"\n')
    with pytest.raises(ConfigError, match="its driver is i2c, not serial"):
        plan("new.hex", agent=agent)
    agent.write_text(
        'account = "a.toml"\nprofile = "weather-station"\ndriver.port = "P"\ndriver.baud = 9600\n'
    )
    update, settings = planned(
        ["new.hex", "-v"], agent=agent, tool="avrdude", expect="1", baud=None, timeout=None
    )
    assert (settings.port, update.baud, update.flash.arguments) == ("P", 9600, ("-v",))


async def test_the_real_avrdude_writes_through_a_boot_loader(tmp_path: Path) -> None:
    uno = board()
    with plugged(uno, tmp_path / "tty0") as house:
        loop = asyncio.get_running_loop()

        def left() -> None:
            uno.version, uno.silent = "1.2.0", False
            uno.restart(loop.time())
            loop.remove_reader(house.master)
            loop.add_reader(house.master, house._readable)
            loop.call_later(0.3, house._turn)

        loader = Optiboot(left)

        def boot() -> None:
            with contextlib.suppress(BlockingIOError):
                house.write(loader.receive(os.read(house.master, 4096)))

        uno.silent = True
        loop.remove_reader(house.master)
        loop.add_reader(house.master, boot)
        version, shown = await flashed(tmp_path)
    assert version == "1.2.0"
    assert loader.flash[:16] == b"\x0c" * 16
    assert any(each.startswith("writing 100") for each in shown)
