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

from iotxmpp.demo.cast import CAST
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
    assert {"°C", "hPa", "moisture", "relay/1", "load"} <= set(re.split(r"[\s│]+", out))
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
    """A demo whose commands have all been answered."""
    port = free_port()
    async with terminal.started("demo", "--server", server, "--metrics-port", port) as demo:
        answered = partial(_answered, port)
        await until(lambda: answered() == len(CAST), "an answer to every command", seconds=STARTS_WITHIN)
        yield demo


def _answered(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:  # not there yet
        return 0
    pattern = re.compile(r'iotxmpp_command_seconds_count\{command="[^"]+",outcome="ok"\} (\d+)')
    return sum(int(found[1]) for line in lines if (found := pattern.match(line)))


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
    assert ended.err.startswith("iotxmpp: the demo failed: greenhouse: its process ended: ")
    for role in CAST:
        assert f"{role.device}: its process ended" not in ended.err or role.device == "greenhouse"
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


async def test_a_picture_without_a_folder_is_refused_at_once(terminal: Terminal) -> None:
    ended = await terminal.run("demo", "--picture", "nowhere/demo.svg")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "iotxmpp: picture nowhere/demo.svg: there is no folder nowhere\n"


def processes_of(terminal: Terminal, device: str) -> list[int]:
    """The processes of a device's agent."""
    found = processes_about(str(terminal.home)).items()
    return [pid for pid, command in found if command.rstrip().endswith(f"/{device}.toml")]


def process_of(terminal: Terminal, device: str) -> int:
    (pid,) = processes_of(terminal, device)
    return pid
