"""Sketches without a library on ptys: a hello at the start, then lines; and the lines that reset them."""

import asyncio
import contextlib
import os
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge import finding, restarting, updating

EVERY = 0.05
LINE = b"temperature=21.5 humidity=40\r\n"


class Sketch:
    """A sketch that has run for long: it said its hello before anybody listened.

    Args:
        path: The link that leads to the pty.
        hello: What it prints at its start.
        answers: Whether it prints that, too, when it reads `>0 hello`.

    Attributes:
        starts: Whether it starts as its port is opened next; it has started by the time it is spoken to.
    """

    def __init__(self, path: Path, hello: str, *, answers: bool = False) -> None:
        self.hello, self.answers, self.starts = hello, answers, False
        self._path = path
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        path.symlink_to(os.ttyname(self._slave))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)
        self._timer = self._loop.call_soon(self._print)

    def reset(self) -> None:
        """Presses its reset button."""
        self._write(f"{self.hello}\r\n".encode())

    def close(self) -> None:
        """Pulls it out."""
        self._loop.remove_reader(self._master)
        self._timer.cancel()
        self._path.unlink()
        os.close(self._master)
        os.close(self._slave)

    def _print(self) -> None:
        self._write(LINE)
        self._timer = self._loop.call_later(EVERY, self._print)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            asked = b">0 hello" in os.read(self._master, 4096)
            if asked and (self.answers or self.starts):
                self.starts = False
                self.reset()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)


@contextmanager
def sketch(path: Path, hello: str, *, answers: bool = False) -> Iterator[Sketch]:
    made = Sketch(path, hello, answers=answers)
    try:
        yield made
    finally:
        made.close()


class Lines:
    """DTR lines for ptys, which have none: what is at a line that was low starts as it is opened next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sketches: dict[Path, Sketch | None] = {}
        self.drawn: list[Path] = []

        def drop(path: str) -> bool:
            self.drawn.append(Path(path))
            at = self.sketches.get(Path(path))
            if at is not None:
                at.starts = True
            return True

        monkeypatch.setattr(restarting, "_in_vain", set())
        monkeypatch.setattr(restarting, "has_lines", lambda path: Path(path) in self.sketches)
        monkeypatch.setattr(updating, "has_lines", lambda path: Path(path) in self.sketches)
        monkeypatch.setattr(restarting, "_drop", drop)
        monkeypatch.setattr(finding, "ASK_FOR", 1.3)
