"""An Uno under simavr as a private child, and a host's session on its pty, with faults if asked."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.board import BoardSession
from firmware_bridge.events import Answered, Lost, SessionEvent

_SLEEP = 0.02


@dataclass(frozen=True, kw_only=True)
class Uno:
    """A board that runs: its port's path, and its reset button."""

    port: str
    child: subprocess.Popen[bytes]

    def reset(self) -> None:
        """Presses the reset button."""
        assert self.child.stdin is not None
        self.child.stdin.write(b"r")
        self.child.stdin.flush()


@contextmanager
def running(simulator: Path, elf: Path, *, millivolts: Sequence[int] = ()) -> Iterator[Uno]:
    """Runs a sketch.

    Args:
        simulator: The built `simavr_uno.c`.
        elf: The sketch.
        millivolts: At A0 and A1.
    """
    words = [str(simulator), str(elf), *map(str, millivolts)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield Uno(port=child.stdout.readline().decode().strip(), child=child)
        finally:
            child.stdin.close()
            assert child.wait(5) == 0


class Host:
    """A session on a port.

    Args:
        port: The pty's path.
        noise: What bytes in either direction go through.
    """

    def __init__(self, port: str, noise: Callable[[bytes], bytes] = bytes) -> None:
        self.session = BoardSession()
        self.events: list[SessionEvent] = []
        self.answers: dict[int, Answered] = {}
        self.lost = 0
        self._noise = noise
        self._file = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._note(self.session.open(time.monotonic()))

    def close(self) -> None:
        """Closes the port."""
        os.close(self._file)

    def call(self, name: str, **arguments: float | str) -> int:
        """Calls a command of the board; see `answer`."""
        return self.session.call(name, arguments, time.monotonic(), timeout=30.0)

    def answer(self, token: int) -> Answered:
        """Waits until that call ended."""
        self.until(lambda: token in self.answers, 30.0)
        return self.answers[token]

    def until(self, ready: Callable[[], object], seconds: float = 5.0) -> None:
        """Serves the session until something is so; fails if that takes too long."""
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, self.events[-20:]
            self._serve()

    def _serve(self) -> None:
        self._send(self.session.outgoing())
        readable, _, _ = select.select([self._file], [], [], _SLEEP)
        if readable:
            self._note(self.session.receive(self._noise(os.read(self._file, 4096)), time.monotonic()))
        self._note(self.session.tick(time.monotonic()))

    def _send(self, data: bytes) -> None:
        if data:
            noisy = self._noise(data)
            assert os.write(self._file, noisy) == len(noisy)

    def _note(self, events: list[SessionEvent]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, Answered):
                assert event.token not in self.answers
                self.answers[event.token] = event
            if isinstance(event, Lost):
                self.lost += 1
                self._note(self.session.open(time.monotonic()))
