"""A port is nobody else's while firmware is written to it, and is not taken from a program without a lock."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from firmware_bridge import updating
from firmware_bridge.flashing import flash_now, planned
from firmware_bridge.port import open_port
from firmware_bridge.reserving import reserved
from iotxmpp.errors import CommandFailedError
from tests.unit.pty_house import Plugged, board, driver, plugged
from tests.unit.stand_ins import stand_in

LOCKLESS = """#!{python}
import os, sys, time
port = os.open(sys.argv[sys.argv.index("-P") + 1], os.O_RDWR | os.O_NOCTTY)
began = time.monotonic()
for page in range(20):
    print("Writing | " + "#" * page, flush=True)
    time.sleep(0.05)
open({mode!r}, "w").write(f"{{began}} {{time.monotonic()}}")
"""
"""Writes for a second, and neither takes nor heeds a lock, as avrdude."""

HOLD = """
import os, sys, time
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
print("held", flush=True)
time.sleep(60)
"""

RESERVE = """
import sys, time
from firmware_bridge.reserving import reserved
with reserved(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Nobody:
    """Takes what comes, and does nothing with it."""

    def received(self, data: bytes) -> None:
        pass

    def lost(self, error: OSError) -> None:
        pass


@contextlib.contextmanager
def another(script: str, port: Path) -> Iterator[Popen[str]]:
    """A program that has the port in its way."""
    with Popen([sys.executable, "-c", script, str(port)], stdin=PIPE, stdout=PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


async def opened(port: Path) -> float:
    """Opens the port for a moment; returns when."""
    wire = await open_port(str(port), 115_200, Nobody())
    at = time.monotonic()
    await wire.close()
    return at


@asynccontextmanager
async def knocking(port: Path) -> AsyncIterator[tuple[list[float], list[str]]]:
    """Another agent that opens the port again and again: when it did, and why it could not."""
    did: list[float] = []
    could_not: list[str] = []

    async def knock() -> None:
        while True:
            try:
                did.append(await opened(port))
            except OSError as error:
                could_not.append(str(error.strerror))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(knock())
    try:
        yield did, could_not
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nobody_opens_the_port_while_a_program_without_a_lock_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "STILL_OLD", 0.2)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    told = stand_in(programs, "avrdude", LOCKLESS)
    port, file = tmp_path / "tty0", tmp_path / "new.hex"
    file.write_text(":00000001FF\n")
    update, settings = planned(
        [str(port), str(file)], agent=None, tool="avrdude", expect="1.2.0", baud=None, timeout=20
    )
    settings = settings.model_copy(update={"reset_wait": 0.2})
    with plugged(board(), port):
        flashing = asyncio.create_task(flash_now(update, settings, lambda _phase, _share: None))
        await asyncio.sleep(0.1)
        async with knocking(port) as (did, could_not):
            with pytest.raises(CommandFailedError, match=r"says version 1\.0\.0, not 1\.2\.0"):
                await flashing
            ended = time.monotonic()
            await asyncio.sleep(0.3)
    began, over = map(float, told.read_text().split())
    assert not [at for at in did if began <= at <= over]
    assert any("for writing firmware" in why for why in could_not)
    assert [at for at in did if at > ended]


async def test_a_reserved_port_is_kept_from_other_programs_until_its_owner_ends(tmp_path: Path) -> None:
    port = tmp_path / "tty0"
    with plugged(board(), port):
        with another(RESERVE, port) as child:
            with pytest.raises(OSError, match=r"held by .* for writing firmware"):
                await opened(port)
            with pytest.raises(OSError, match="for writing firmware"), reserved(str(port)):
                pass
            child.kill()
            child.wait()
        await opened(port)


async def test_whoever_reserved_a_port_opens_it_and_so_do_its_tasks(tmp_path: Path) -> None:
    port = tmp_path / "tty0"
    with plugged(board(), port):
        with reserved(str(port)), reserved(str(port.resolve())):
            await opened(port)
            await asyncio.create_task(opened(port))
        with reserved("socket://localhost:1"), reserved(str(tmp_path / "none")), reserved(str(tmp_path)):
            await opened(port)


async def test_a_port_that_a_program_without_a_lock_holds_is_not_opened(tmp_path: Path) -> None:
    port = tmp_path / "tty0"
    with plugged(board(), port):
        with another(HOLD, port) as child:
            with pytest.raises(OSError, match=rf"held by \S+ \(process {child.pid}\); close that first"):
                await opened(port)
            with pytest.raises(OSError, match="held by"):
                await driver(port).__aenter__()
        await opened(port)


async def test_a_pseudo_terminal_with_the_number_of_a_closed_one_is_another_port(tmp_path: Path) -> None:
    first = Plugged(board(), tmp_path / "tty0")
    number = (tmp_path / "tty0").resolve()
    task = asyncio.create_task(kept(str(number)))
    await asyncio.sleep(0.05)
    first.pull()
    try:
        with plugged(board(), tmp_path / "tty1"):
            assert (tmp_path / "tty1").resolve() != number or await opened(tmp_path / "tty1")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kept(path: str) -> None:
    with reserved(path):
        await asyncio.sleep(60)
