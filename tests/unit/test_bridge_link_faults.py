"""The serial driver at boards that restart, vanish, freeze, flood or speak nonsense."""

import asyncio
import contextlib
import os
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_bridge import asking, boardclock
from firmware_bridge.board import BoardSession
from firmware_bridge.events import SessionEvent
from firmware_bridge.frames import encode_frame
from firmware_bridge.link import Link
from firmware_bridge.noise import NoisyWire
from firmware_bridge.port import Receiver, Wire
from iotxmpp.errors import CommandError, CommandUnknownError
from tests.unit.pty_house import READINGS, board, driver, plugged, profile, set_command, taking, until


async def test_a_restart_in_the_middle_of_a_command_leaves_it_unknown(tmp_path: Path) -> None:
    uno = board(commands=(set_command(lasts=5.0),))
    with plugged(uno, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0") as opened:
            call = asyncio.create_task(opened.command("set", {"number": 1}))
            await until(lambda: uno._running)
            uno.restart(asyncio.get_running_loop().time())
            house._turn()
            with pytest.raises(CommandUnknownError, match="unknown, started: the board restarted"):
                await call


async def test_pulling_the_plug_in_a_command_leaves_it_unknown_and_the_next_not_started(
    tmp_path: Path,
) -> None:
    uno = board(commands=(set_command(lasts=5.0),))
    with plugged(uno, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            call = asyncio.create_task(opened.command("set", {"number": 1}))
            await until(lambda: uno._running)
            house.pull()
            with pytest.raises(CommandUnknownError, match="unknown, started"):
                await call
            with pytest.raises(CommandError, match="not started: the board is not connected"):
                await opened.command("set", {"number": 2})
            await until(lambda: taken.error)
            with pytest.raises(OSError, match="gone"):
                await opened.read()


async def test_a_frozen_board_is_told_and_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(boardclock, "SYNC_EVERY", 0.2)
    uno = board()
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            uno.silent = True
            await until(lambda: taken.error)
            assert isinstance(taken.error, OSError)
            assert "no answer" in str(taken.error)
        uno.silent = False
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)


def flood(line: bytes, seconds: float) -> str:
    return f"""
import os, sys, time
f = int(sys.argv[1])
os.set_blocking(f, True)
block = {line!r} * 200
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    os.write(f, block)
"""


async def test_a_flood_neither_starves_the_loop_nor_fills_the_memory(tmp_path: Path) -> None:
    quiet = board(level=0, every=0.0)
    with plugged(quiet, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0", protocol="text") as opened, taking(opened) as taken:
            house._loop.remove_reader(house.master)
            words = [sys.executable, "-c", flood(b"temperature=21.5 humidity=40\n", 2.0), str(house.master)]
            lags, counts = [], []
            tracemalloc.start()
            child = await asyncio.create_subprocess_exec(*words, pass_fds=[house.master])
            while child.returncode is None:
                start = time.monotonic()
                await asyncio.sleep(0.01)
                lags.append(time.monotonic() - start - 0.01)
                counts.append(len(taken.samples))
                taken.samples.clear()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            os.set_blocking(house.master, False)
            assert opened._link is not None
            lines = opened._link.session.counts.lines
            assert lines > 3_000
            assert opened._ear.mailbox.dropped > lines
            assert sum(counts) < lines / 10
            assert sorted(lags)[len(lags) * 9 // 10] < 0.1
            assert peak < 10_000_000


@pytest.mark.parametrize("level", [0, 1])
async def test_garbage_of_every_kind_is_survived(tmp_path: Path, level: int) -> None:
    uno = board(level=level)
    chance = random.Random(5)  # noqa: S311  # garbage that can be had again
    with plugged(uno, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            for piece in [b"x" * 10_000_000, *(chance.randbytes(2000) for _ in range(30)), b"\0\x05\x04"]:
                for start in range(0, len(piece), 4000):
                    house.write(piece[start : start + 4000])
                    await asyncio.sleep(0)
            house.write(b"\n\0\n")
            await asyncio.sleep(0.3)
            taken.samples.clear()
            await until(lambda: len(taken.values("temperature")) > 3)
            assert opened._link is not None
            assert opened._link.session.counts.damaged > 0
            assert await opened.command("set", {"number": 3}) == 3


async def test_a_bad_line_is_told_and_is_a_channel_too(tmp_path: Path) -> None:
    readings = READINGS | {"faults": {"type": "int", "source": {"link": "damaged"}}}
    noisy = NoisyWire(3, damage=0.02)
    with plugged(board(every=0.01), tmp_path / "tty0", up=noisy):
        async with driver(tmp_path / "tty0", profile(readings=readings)) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            await until(opened.troubles)
            assert "check the cable" in opened.troubles()["serial line"]
            known = await opened.read()
            assert int(str(known["faults"])) >= 1  # with the gaps there are enough for a trouble


async def test_a_silent_board_is_a_problem_if_one_asked_for_that(tmp_path: Path) -> None:
    uno = board(level=0)
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0", silence=0.2) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            uno.silent = True
            await asyncio.sleep(0.4)
            known = await opened.read()
            assert "has not given it" in str(known["temperature"])


class Stumbling(BoardSession):
    """A session with a fault: it raises at each read."""

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        super().receive(data, now)
        raise RuntimeError("a fault of the session")


class Recorded:
    """A wire that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    async def close(self) -> None:
        """Nothing is to be closed."""

    async def open(self, receiver: Receiver) -> Wire:
        del receiver
        return self


@pytest.mark.parametrize("session", [BoardSession, Stumbling])
async def test_a_link_goes_on_whatever_comes_first_and_whatever_its_session_raises(
    session: Callable[[], BoardSession],
) -> None:
    wire = Recorded()
    link = Link("tty", session(), lambda _events: None)
    await link.open(wire.open, 60.0)
    with contextlib.suppress(RuntimeError):
        link.received(encode_frame(b"\x06\x01\x01a") + encode_frame(b"\x02") + encode_frame(b"\x03"))
    assert encode_frame(b"\x10") in wire.sent, "it is asked who it is"
    wire.sent = b""
    await until(lambda: encode_frame(b"\x10") in wire.sent)  # and asked again
    await link.close()
