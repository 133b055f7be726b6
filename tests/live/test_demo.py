"""`iotxmpp demo` from its start to its end, however it ends."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import device_profiles
from iotxmpp.demo.cast import CAST
from iotxmpp.demo.folder import sweep
from iotxmpp.server.settings import free_port
from tests.live.site import processes_about, until
from tests.live.terminal import Ended, Started, Terminal
from tests.servers import server_directory

STARTS_WITHIN = 40.0
KINDS = ("prosody", "ejabberd", "memory")
SUMMARY = re.compile(
    r"^(\d) of 5 devices seen, (\d+) readings, (\d+) rejected, (\d) of 5 commands answered$", re.MULTILINE
)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A demo that ended by itself."""

    ended: Ended
    picture: Path
    left_behind: list[str]


@pytest.fixture(scope="module")
def demos() -> Iterator[dict[str, Shown]]:
    """The demo on every server, side by side."""
    with ExitStack() as stack:
        terminals = {}
        for kind in KINDS:
            home = stack.enter_context(server_directory())
            home.chmod(0o755)
            terminals[kind] = Terminal(home)
        yield asyncio.run(_all(terminals))


async def _all(terminals: dict[str, Terminal]) -> dict[str, Shown]:
    return dict(
        zip(terminals, await asyncio.gather(*(map(_shown, terminals, terminals.values()))), strict=True)
    )


async def _shown(kind: str, terminal: Terminal) -> Shown:
    picture = terminal.home / "demo.svg"
    ended = await terminal.run("demo", "--server", kind, "--seconds", "5", "--picture", picture)
    return Shown(ended=ended, picture=picture, left_behind=terminal.left_behind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_demo_ends_well_and_leaves_nothing(demos: dict[str, Shown], kind: str) -> None:
    ended = demos[kind].ended
    assert (ended.code, ended.err) == (0, "")
    summary = SUMMARY.search(ended.out)
    assert summary is not None, ended.out
    assert (summary[1], summary[3], summary[4]) == ("5", "0", "5")
    assert int(summary[2]) >= 5 * 4
    assert demos[kind].left_behind == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_demo_shows_every_device_with_its_readings_and_its_command(
    demos: dict[str, Shown], kind: str
) -> None:
    out = demos[kind].ended.out
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    for role in CAST:
        assert f"│ {role.profile}" in rows[role.device]
        assert "│ online" in rows[role.device]
        assert role.call in rows[role.device]
    assert out.count("→ ") == len(CAST)
    assert "→ …" not in out
    channels = {name for role in CAST for name in device_profiles.load(role.profile).channels()}
    assert {"open", "relay/4", "light"} < channels
    assert {"°C", "hPa", *channels} - {"cpu-temperature"} <= set(re.split(r"[\s│]+", out))
    assert "metrics for Prometheus: http://127.0.0.1:" in out
    assert f"iotxmpp demo: {'a server in memory' if kind == 'memory' else kind}" in out


def check_picture(picture: Path) -> None:
    """It shows one table, with each device in it."""
    root = ET.fromstring(picture.read_text())  # noqa: S314  # our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = [
        (each.text or "").replace("\xa0", " ").strip()
        for each in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    assert [words.count(role.device) for role in CAST] == [1] * len(CAST)
    assert sum("→ {" in word for word in words) == len(CAST)


@pytest.mark.parametrize("kind", KINDS)
def test_the_demo_draws_its_picture(demos: dict[str, Shown], kind: str) -> None:
    check_picture(demos[kind].picture)


def test_the_demo_in_a_terminal(terminal: Terminal) -> None:
    picture, (ours, theirs) = terminal.home / "demo.svg", pty.openpty()
    words = ("-m", "iotxmpp", "demo", "--server", "memory", "--seconds", "3", "--picture", str(picture))
    environment = {**terminal.environment, "TERM": "xterm-256color", "LINES": "60"}
    with subprocess.Popen([sys.executable, *words], stdout=theirs, env=environment) as demo:
        os.close(theirs)
        said = b"".join(_read(ours))
    assert demo.returncode == 0
    assert said.count(b"front-door") > 2  # drawn again and again
    assert said.rstrip().endswith(b"commands answered")
    check_picture(picture)


def _read(terminal: int) -> Iterator[bytes]:
    with suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as file:  # its end reads as an error
        while data := file.read(4096):
            yield data


@asynccontextmanager
async def playing(terminal: Terminal, server: str = "prosody") -> AsyncIterator[Started]:
    """A demo whose devices have all been heard, and whose commands have all been answered."""
    port = free_port()
    async with terminal.started("demo", "--server", server, "--metrics-port", port) as demo:
        await until(partial(_is_told, port), "readings and answers of every device", seconds=STARTS_WITHIN)
        yield demo


def _is_told(port: int) -> bool:
    """Whether a reading of every device has come, and an answer to every command."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
    except OSError:  # not there yet
        return False
    heard = re.findall(r'^iotxmpp_readings_total\{device="([^"]+)"\} [1-9]', metrics, re.MULTILINE)
    answers = re.findall(
        r'^iotxmpp_command_seconds_count\{command="[^"]+",outcome="ok"\} (\d+)', metrics, re.MULTILINE
    )
    return len(heard) == len(CAST) == sum(map(int, answers))


async def test_ctrl_c_ends_the_demo(terminal: Terminal) -> None:
    async with playing(terminal) as demo:
        ended = await demo.end(signal.SIGINT)
    assert (ended.code, ended.err) == (0, "")
    assert SUMMARY.search(ended.out) is not None
    assert terminal.left_behind == []


async def test_a_device_that_dies_fails_the_demo(terminal: Terminal) -> None:
    async with playing(terminal) as demo:
        os.kill(process_of(terminal, "greenhouse"), signal.SIGKILL)
        await until(lambda: not processes_of(terminal, "greenhouse"), "its end")
        ended = await demo.end(signal.SIGTERM)
    assert ended.code == 1
    assert SUMMARY.search(ended.out) is not None
    assert ended.err == (
        "iotxmpp: the demo failed: greenhouse: its process ended: SIGKILL: it logged no warning\n"
    )
    assert terminal.left_behind == []


async def test_a_device_that_hangs_is_killed_and_fails_the_demo(terminal: Terminal) -> None:
    async with playing(terminal) as demo:
        os.kill(process_of(terminal, "greenhouse"), signal.SIGSTOP)
        ended = await demo.end(signal.SIGTERM)
    assert ended.code == 1
    assert SUMMARY.search(ended.out) is not None
    assert ended.err == ("iotxmpp: the demo failed: greenhouse: did not end within 5 s, and was killed\n")
    assert terminal.left_behind == []


@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
async def test_a_server_that_dies_fails_the_demo(terminal: Terminal, kind: str) -> None:
    async with playing(terminal, kind) as demo:
        for pid in server_processes(terminal, demo):
            with suppress(ProcessLookupError):  # ended with the one before
                os.kill(pid, signal.SIGKILL)
        await until(lambda: not server_processes(terminal, demo), "its end")
        ended = await demo.end(signal.SIGTERM)
    assert ended.code == 1
    assert SUMMARY.search(ended.out) is not None
    logged, _, said = ended.err.rpartition("iotxmpp: the demo failed: ")
    assert said == "the server ended: SIGKILL\n"
    assert all(" WARNING " in line for line in logged.splitlines())
    assert terminal.left_behind == []


async def test_the_demo_on_a_console_that_is_narrow_and_knows_ascii_only(terminal: Terminal) -> None:
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    narrow, plain = await asyncio.gather(
        terminal.run("demo", "--server", "memory", "--seconds", "3", COLUMNS="30"),
        terminal.run("demo", "--server", "memory", "--seconds", "3", **poor),
    )
    assert (narrow.code, narrow.err) == (0, "")
    assert (plain.code, plain.err) == (0, "")
    assert plain.out.isascii()
    assert plain.out.count("-> {") == len(CAST)


async def test_a_demo_without_room_for_its_output_ends_with_one_line(terminal: Terminal) -> None:
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230  # a device, opened at once
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "iotxmpp", "demo", "--server", "memory", "--seconds", "3"),
            env=terminal.environment,
            cwd=terminal.home,
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await demo.communicate()
    assert (demo.returncode, err) == (1, b"iotxmpp: standard output: No space left on device\n")
    assert terminal.left_behind == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
async def test_a_signal_while_the_demo_starts_ends_it(terminal: Terminal, number: signal.Signals) -> None:
    async with terminal.started("demo", "--server", "ejabberd") as demo:
        await until(lambda: len(processes_about(str(terminal.home))) > 1, "the server's process")
        ended = await demo.end(number)
    assert ended.code == 1
    assert ended.err == "iotxmpp: the demo was stopped before it began\n"
    assert terminal.left_behind == []


async def test_a_demo_that_is_killed_takes_its_processes_along(terminal: Terminal) -> None:
    async with playing(terminal) as demo:
        assert len(processes_about(str(terminal.home))) == 1 + 1 + len(CAST)
        demo.process.kill()
        await until(lambda: not processes_about(str(terminal.home)), "the end of all")
    assert terminal.left_behind != []
    sweep(terminal.home / "tmp")  # as the next demo does
    assert terminal.left_behind == []


async def test_a_picture_without_a_folder_is_refused_at_once(terminal: Terminal) -> None:
    ended = await terminal.run("demo", "--picture", "nowhere/demo.svg")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "iotxmpp: picture nowhere/demo.svg: there is no folder nowhere\n"


def processes_of(terminal: Terminal, device: str) -> list[int]:
    """The processes of a device's agent."""
    found = processes_about(str(terminal.home)).items()
    return [pid for pid, command in found if command.rstrip().endswith(f"/{device}.toml")]


def server_processes(terminal: Terminal, demo: Started) -> list[int]:
    """The processes of its server."""
    found = processes_about(str(terminal.home)).items()
    return [pid for pid, command in found if pid != demo.process.pid and " agent run " not in command]


def process_of(terminal: Terminal, device: str) -> int:
    (pid,) = processes_of(terminal, device)
    return pid
