"""The serial driver finds its board: among several ports, on the network, or says why it cannot."""

import asyncio
import contextlib
import errno
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from firmware_bridge.port import explained
from iotxmpp.agent.opening import OpenedDriver
from iotxmpp.backoff import Backoff
from tests.unit.pty_house import board, driver, plugged, taking, until

HOLD = """
import fcntl, os, sys, time
f = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(f, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


async def test_a_board_that_is_back_under_another_name_is_found(tmp_path: Path) -> None:
    got: list[float] = []
    failed: list[Exception] = []
    opened = OpenedDriver(
        lambda: driver(tmp_path / "tty*", board="sim-1"),
        take=lambda sample: got.append(time.monotonic()),
        failed=failed.append,
        backoff=Backoff(first=0.05, longest=0.1),
    )
    async with opened:
        with plugged(board(), tmp_path / "tty0"):
            await until(lambda: got)
        await until(lambda: failed)
        assert "unplug" in str(failed[0])
        got.clear()
        with plugged(board(id="other"), tmp_path / "tty1"), plugged(board(), tmp_path / "tty7"):
            await until(lambda: len(got) > 2)


async def test_two_boards_with_one_id_are_both_refused(tmp_path: Path) -> None:
    with plugged(board(), tmp_path / "tty0"), plugged(board(), tmp_path / "tty1"):
        with pytest.raises(OSError, match=r"2 boards say that they are 'sim-1'.*tty0.*tty1") as refused:
            await driver(tmp_path / "tty*", board="sim-1").__aenter__()
        assert refused.value.errno == errno.ENOTUNIQ
        with pytest.raises(OSError, match="several boards; say which"):
            await driver(tmp_path / "tty*").__aenter__()
        async with driver(tmp_path / "tty0", board="sim-1") as first, taking(first) as taken:
            await until(lambda: taken.samples)


async def test_the_board_that_is_wanted_is_chosen_by_its_hello(tmp_path: Path) -> None:
    wanted = board(id="b", value=lambda channel, number: 7.0)
    with plugged(board(id="a"), tmp_path / "tty0"), plugged(wanted, tmp_path / "tty1"):
        async with driver(tmp_path / "tty*", board="b") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            assert taken.values("temperature")[0] == 7.0
        with pytest.raises(OSError, match=r"board 'c' was not found: .*board a, sim.*board b, sim"):
            await driver(tmp_path / "tty*", board="c").__aenter__()


async def test_a_port_that_another_program_holds_is_told_with_its_name(tmp_path: Path) -> None:
    with plugged(board(), tmp_path / "tty0"):
        words = [sys.executable, "-c", HOLD, str(tmp_path / "tty0")]
        child = await asyncio.create_subprocess_exec(*words, stdout=PIPE)
        assert child.stdout is not None
        try:
            assert await child.stdout.readline() == b"held\n"
            with pytest.raises(OSError, match=rf"held by python.* \(process {child.pid}\)") as refused:
                await driver(tmp_path / "tty0").__aenter__()
            assert refused.value.errno == errno.EBUSY
        finally:
            child.kill()
            await child.wait()
        async with driver(tmp_path / "tty0"):
            with pytest.raises(OSError, match="held by"):
                await driver(tmp_path / "tty0").__aenter__()


async def test_a_port_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not there; plug the board in"):
        await driver(tmp_path / "none").__aenter__()
    with pytest.raises(OSError, match=r"tty\*: no such port"):
        await driver(tmp_path / "tty*").__aenter__()
    (tmp_path / "file").write_text("no port")
    with pytest.raises(OSError, match="no serial port"):
        await driver(tmp_path / "file").__aenter__()


def test_a_missing_permission_names_the_group() -> None:
    error = explained(PermissionError(errno.EACCES, "Permission denied"), "/dev/ttyUSB99")
    assert "sudo usermod -aG dialout" in str(error)


async def test_a_board_on_the_network_is_reached_by_its_url() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while not gone.is_set():
                writer.write(b"temperature=21.5 humidity=40\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        closed.set()

    gone, closed = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with driver(f"socket://127.0.0.1:{port}") as opened, taking(opened) as taken:
        await until(lambda: taken.samples)
        assert taken.values("temperature")[0] == 21.5
        gone.set()
        await until(lambda: taken.error)
        await closed.wait()
    server.close()
    await server.wait_closed()
