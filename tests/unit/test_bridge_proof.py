"""What shows that new firmware was written: a hello that the board could not have said before."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge import updating
from firmware_bridge.flashing import flash_now, planned
from iotxmpp.errors import CommandError, CommandFailedError
from iotxmpp.profiles import Profile
from tests.unit.pty_house import SET, driver, profile, taking, until
from tests.unit.sketch_house import Lines, Sketch, sketch
from tests.unit.stand_ins import AVRDUDE, stand_in

OLD = "@hello id=shed-1 name=shed version=1.1.0"
NEW = "@hello id=shed-1 name=shed version=1.2.0"


HOLD = """
import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
print(flush=True)
time.sleep(60)
"""


@pytest.fixture
async def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return Lines(monkeypatch)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in for avrdude leaves when it ends well; it writes nothing."""
    monkeypatch.setattr(updating, "STILL_OLD", 0.5)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (tmp_path / "new.hex").write_text(":00000001FF\n")
    return stand_in(programs, "avrdude", AVRDUDE)


def is_written(told: Path) -> bool:
    """Whether the program came to its end."""
    return told.read_text() == "written"


def renew(told: Path) -> None:
    """Lets the program run once more."""
    told.write_text("good")


@contextmanager
def afterwards(told: Path, act: Callable[[], None]) -> Iterator[None]:
    """Does something at the board once the program has ended, and the port is read again."""

    async def watch() -> None:
        await until(lambda: is_written(told), 30.0)
        act()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


def started(shed: Sketch) -> Callable[[], None]:
    """The program's end resets the board, so it says its hello as soon as somebody listens."""

    def start() -> None:
        shed.starts = True

    return start


async def flashed(folder: Path, *, again: bool = False) -> str:
    update, settings = planned(
        [str(folder / "tty0"), str(folder / "new.hex")],
        agent=None,
        tool="avrdude",
        expect="1.2.0",
        baud=None,
        timeout=20.0,
        again=again,
    )
    settings = settings.model_copy(update={"reset_wait": 0.3})
    flash = update.flash.model_copy(update={"hello_within": 4.0})
    update = type(update)(**{**vars(update), "flash": flash, "reset_wait": 0.3})
    return await flash_now(update, settings, lambda _phase, _share: None)


def kind() -> Profile:
    update = {"timeout": 60, "args": {"file": {"type": "str"}, "expect": {"type": "str"}}}
    return profile(commands={"set": SET, "firmware-update": update})


@pytest.mark.parametrize("version", ["1.2.0", "1.1.0"])
async def test_what_the_agent_knew_of_the_board_counts_though_it_says_no_more(
    tmp_path: Path, told: Path, lines: Lines, version: str
) -> None:
    flash = {"tool": "avrdude", "folder": str(tmp_path), "hello_within": 4.0}
    arguments = {"file": "new.hex", "expect": "1.2.0"}
    with sketch(tmp_path / "tty0", NEW.replace("1.2.0", version)) as shed:
        shed.starts = True
        async with driver(tmp_path / "tty0", kind(), board="shed-1", flash=flash) as opened:
            shed.hello = NEW
            with afterwards(told, started(shed)):
                if version == "1.2.0":
                    with pytest.raises(CommandFailedError, match=r"already ran that version, 1\.2\.0"):
                        await opened.command("firmware-update", arguments)
                else:
                    assert await opened.command("firmware-update", arguments) == {"version": "1.2.0"}
    assert not lines.drawn


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(
    ("program", "name", "why"),
    [
        ("#!/nowhere/python\n", "new.hex", r"avrdude: cannot be started: it, or the interpreter"),
        ("echo no first line\n", "new.hex", r"avrdude: cannot be started: it is no program"),
        (None, "x" * 300, r"x: cannot be read: File name too long"),
    ],
)
async def test_the_agent_keeps_its_board_where_nothing_could_be_started(
    tmp_path: Path, told: Path, program: str | None, name: str, why: str
) -> None:
    if program is not None:
        (tmp_path / "bin" / "avrdude").write_text(program)
    flash = {"tool": "avrdude", "folder": str(tmp_path)}
    with sketch(tmp_path / "tty0", OLD, answers=True):
        async with driver(tmp_path / "tty0", kind(), board="shed-1", flash=flash) as opened:
            with pytest.raises(CommandError, match=f"firmware-update: not started: .*{why}"):
                await opened.command("firmware-update", {"file": name, "expect": "1.2.0"})
            async with taking(opened) as taken:
                await until(lambda: taken.samples)
    assert not is_written(told)


async def test_where_nothing_was_known_before_a_hello_of_the_start_alone_is_no_proof(
    tmp_path: Path, told: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", NEW) as shed, afterwards(told, started(shed)):
        with pytest.raises(CommandFailedError, match="whether it ran that before is not known"):
            await flashed(tmp_path)
        shed.starts = False
        renew(told)
        with afterwards(told, started(shed)):
            assert await flashed(tmp_path, again=True) == "1.2.0"


async def test_a_board_that_says_its_version_at_its_start_alone_is_started_to_hear_it_before(
    tmp_path: Path, told: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", NEW) as shed, afterwards(told, started(shed)):
        lines.sketches[tmp_path / "tty0"] = shed
        with pytest.raises(CommandFailedError, match=r"already ran that version, 1\.2\.0"):
            await flashed(tmp_path)
        assert lines.drawn == [tmp_path / "tty0"]


async def test_a_board_that_said_nothing_before_and_answers_now_is_proof(
    tmp_path: Path, told: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", "") as shed:

        def write() -> None:
            shed.hello, shed.answers = NEW, True

        with afterwards(told, write):
            assert await flashed(tmp_path) == "1.2.0"


async def test_a_board_that_said_nothing_at_its_start_before_and_does_now_is_proof(
    tmp_path: Path, told: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", "") as shed:
        lines.sketches[tmp_path / "tty0"] = shed

        def write() -> None:
            shed.hello, shed.starts = NEW, True

        with afterwards(told, write):
            assert await flashed(tmp_path) == "1.2.0"
    assert len(lines.drawn) == 2


async def test_a_port_that_another_program_has_is_not_written_to(
    tmp_path: Path, told: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", OLD, answers=True):
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLD, str(tmp_path / "tty0"), stdout=pipe
        )
        try:
            assert child.stdout is not None
            await child.stdout.readline()
            update, _ = planned(
                [str(tmp_path / "tty0"), str(tmp_path / "new.hex")],
                agent=None,
                tool="avrdude",
                expect="1.2.0",
                baud=None,
                timeout=20.0,
            )
            update = type(update)(**{**vars(update), "port": str(tmp_path / "tty0")})
            with pytest.raises(CommandError, match=r"not started: .*held by python"):
                await updating.carry_out(update, lambda _phase, _share: None)
        finally:
            child.kill()
            await child.wait()
    assert not is_written(told)
