"""From a sketch to a reading, by the commands that docs/serial-guide.md prints: a pty, a private Prosody."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from iotxmpp.server import ServerKind, ServerProcess
from tests.servers import running as running_server

GUIDE = Path(__file__).parents[2] / "docs" / "serial-guide.md"
SKETCH = b"temperature=21.5 humidity=40\n"
HELLO = b"@hello id=shed-1 name=shed version=1.0.0\n"
SECONDS = 30.0


def commands(title: str) -> list[str]:
    """The lines of the shell under a heading of the guide, in their order."""
    text, flags = GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    (part,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## )", text, flags)
    (block,) = re.findall(r"^```sh\n(.*?)^```", part, flags)
    return [line for line in str(block).splitlines() if line.startswith("iotxmpp ")]


def await_that(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


@contextmanager
def sketch(hello: bytes) -> Iterator[str]:
    """A board that prints its line again and again; gives its port. Asked who it is, it says its hello."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    over = threading.Event()

    def print_on() -> None:
        while not over.wait(0.1):
            with suppress(BlockingIOError):
                asked = b""
                with suppress(BlockingIOError):
                    asked = os.read(master, 4096)
                os.write(master, (hello if b"hello" in asked else b"") + SKETCH)

    board = threading.Thread(target=print_on)
    board.start()
    try:
        yield os.ttyname(slave)
    finally:
        over.set()
        board.join()
        os.close(master)
        os.close(slave)


@contextmanager
def runs(line: str, log: Path, **more: object) -> Iterator[None]:
    """A line of a terminal of its own, ended with Ctrl+C."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"],
            stdout=said,
            stderr=said,
            **more,  # type: ignore[call-overload]  # a process's own arguments
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=SECONDS)
    assert code == 0, log.read_text()


@pytest.fixture
def example_org() -> Iterator[ServerProcess]:
    with running_server(ServerKind.PROSODY, domain="example.org") as server:
        yield server


def test_a_newcomer_sees_a_reading_with_the_commands_of_the_guide(
    example_org: ServerProcess, tmp_path: Path
) -> None:
    look, run = commands("2. Look"), commands("3. Run")
    assert look == ["iotxmpp serial list", "iotxmpp serial probe --write shed"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IOTXMPP_STATE": str(tmp_path),
        "HOME": str(tmp_path),
    }
    admin = {**environment, "IOTXMPP_ACCOUNT": str(example_org.admin_file)}
    house = {**environment, "IOTXMPP_ACCOUNT": str(example_org.controller_file)}

    def done(line: str, env: dict[str, str]) -> str:
        ended = subprocess.run(
            ["/bin/sh", "-c", line],
            env=env,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == 0, f"{line}: {ended.stderr}{ended.stdout}"
        return ended.stdout

    with sketch(HELLO) as port:
        done(look[0], environment)
        # The guide's board is at the only USB port; a pty is none, so it is named.
        said = done(look[1].replace("probe", f"probe {port}"), environment)
        printed = re.findall(r"^ +(iotxmpp .*)$", said, re.MULTILINE)
        assert printed == run, "the guide shows what probe prints"
        add, agent = run
        done(add, admin)
        watched = tmp_path / "watch.log"
        log = tmp_path / "agent.log"
        with (
            runs("iotxmpp watch", watched, env=house, cwd=tmp_path),
            runs(agent, log, env=environment, cwd=tmp_path),
        ):
            await_that(
                lambda: all(
                    re.search(rf"shed-1.*{text}", watched.read_text())
                    for text in ("temperature.*21.5", "humidity.*40")
                ),
                lambda: watched.read_text() + log.read_text(),
            )
