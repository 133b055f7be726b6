"""From a sketch to a reading, as docs/serial-guide.md prints both: an Uno under simavr, a private Prosody."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iotxmpp.server import ServerKind, ServerProcess
from tests.arduino import build
from tests.arduino.uno import running
from tests.servers import running as running_server
from tests.unit.documents import blocks

GUIDE = Path(__file__).parents[2] / "docs" / "serial-guide.md"
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
def sketch(folder: Path) -> Iterator[str]:
    """The guide's own sketch on an Uno under simavr, at about 21 °C; gives its port, which has no DTR."""
    build.require()
    source = folder / "Shed.ino"
    first = next(block for block in blocks("cpp") if block.file == "docs/serial-guide.md")
    source.write_text(first.text, encoding="utf-8")
    simulator = build.program(
        Path(build.__file__).with_name("simavr_uno.c"),
        folder,
        "-isystem",
        "/usr/include/simavr",
        libraries=["-lsimavr", "-lelf"],
    )
    with running(simulator, build.sketch(source, folder, library=False).elf, millivolts=[718, 1000]) as uno:
        yield uno.port


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

    with sketch(tmp_path) as port:
        done(look[0], environment)
        # The guide's board is at the only USB port; a pty is none, so it is named.
        said = done(look[1].replace("probe", f"probe {port}"), environment)
        printed = re.findall(r"^ +(iotxmpp .*)$", said, re.MULTILINE)
        assert printed == run, "the guide shows what probe prints"
        add, agent = run
        done(add, admin)
        for start in (1, 2):  # at the second one the sketch has said its own hello long ago
            watched, log = tmp_path / f"watch{start}.log", tmp_path / f"agent{start}.log"
            with (
                runs("iotxmpp watch", watched, env=house, cwd=tmp_path),
                runs(agent, log, env=environment, cwd=tmp_path),
            ):
                await_that(
                    # More than what is known from before.
                    lambda watched=watched: all(  # type: ignore[misc]  # bound as it is made
                        len(re.findall(rf"shed-1.*{text}", watched.read_text())) > 2
                        for text in (r"temperature 2[012]\.", r"light 20\d")
                    ),
                    lambda watched=watched, log=log: watched.read_text() + log.read_text(),  # type: ignore[misc]
                )
            said = log.read_text()
            assert "nothing confirms" not in said
            assert "was not found" not in said
