"""A PMS5003 as a session: it sends frames of its own and takes no commands. No I/O."""

import time
from collections.abc import Callable, Mapping

from firmware_bridge.basis import Basis
from firmware_bridge.events import Damaged, Greeted, Lost, Sampled, SessionEvent
from firmware_bridge.pms5003 import LENGTH, Pms5003Stream
from iotxmpp.errors import UnknownCommandError
from iotxmpp.readings import Value

SILENT = 15.0
"""Seconds without a frame after which the sensor is lost; it sends one at least every 2.3 s."""


class AirSession(Basis):
    """A fine dust sensor; see `firmware_bridge.events.Session` for its face.

    Args:
        wall: Gives seconds since 1970.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        super().__init__(wall)
        self._stream = Pms5003Stream()
        self._limit = 0.0

    def open(self, now: float) -> list[SessionEvent]:
        """Begins on a new connection."""
        self._end("the connection was opened anew")
        self._stream = Pms5003Stream()
        self._open = True
        self._limit = now + SILENT
        return self._take()

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Takes what came."""
        if not self._open:
            return []
        damaged = self._stream.damaged
        for air in self._stream.feed(data):
            self.counts.frames += 1
            self._limit = now + SILENT
            if self.board is None:
                self.board = Greeted(level=0, name="pms5003", version=str(air.version))
                self._events.append(self.board)
            self._events.append(Sampled(values=air.values, at=self._wall()))
        damaged = self._stream.damaged - damaged
        if damaged:
            self.counts.damaged += damaged
            self._events.append(
                Damaged(count=damaged, size=damaged * LENGTH, why="a frame whose sum does not fit")
            )
        return self._take()

    def next_timeout(self) -> float | None:
        """When `tick` is due."""
        return self._limit if self._open else None

    def tick(self, now: float) -> list[SessionEvent]:
        """Tells when the sensor is silent."""
        if self._open and now >= self._limit:
            why = f"no frame for {SILENT:g} s; is its TX at the port's RX, and its SET pin high?"
            self._end(why)
            self._events.append(Lost(why=why))
        return self._take()

    def _check(self, name: str, arguments: Mapping[str, Value]) -> None:
        del arguments
        raise UnknownCommandError(f"command {name!r}: a PMS5003 has none")

    def _advance(self, now: float) -> None:
        """It is never spoken to."""
