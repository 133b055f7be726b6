"""What a probe of the serial ports hears: sketches on ptys, and boards on threads of their own."""

import asyncio
import contextlib
import os
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firmware_bridge import probing
from firmware_bridge.simulated import SimulatedBoard
from iotxmpp.cli.app import app
from tests.unit.pty_house import plugged, until

RUNNER = CliRunner()
HELLO = b"@hello id=weather-1 name=weather version=1.0.0\r\n"
LINE = b"temperature=21.5 light=300\r\n"


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


async def probed(*words: str) -> Result:
    return await asyncio.to_thread(RUNNER.invoke, app, ["serial", "probe", *words])


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


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe listens for parts of a second."""
    monkeypatch.setattr(probing, "STARTS", 0.6)
    monkeypatch.setattr(probing, "LISTENS", 0.3)
    monkeypatch.setattr(probing, "PATIENT", 0.6)
    monkeypatch.setattr(probing, "LASTS", 1.5)
    monkeypatch.setattr(probing, "SHOWS", 0.3)
