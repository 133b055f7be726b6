"""What the sessions of both levels have in common: calls, events, bytes to send. No I/O."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from firmware_bridge.calls import Calls, Encoded
from firmware_bridge.description import Description
from firmware_bridge.events import Counts, Damaged, Greeted, SessionEvent
from firmware_bridge.frames import Damage
from iotxmpp.errors import LinkDownError
from iotxmpp.readings import Value


class Basis(ABC):
    """The common part of a session; see `firmware_bridge.events.Session` for its face.

    Args:
        wall: Gives seconds since 1970.
    """

    board: Greeted | None
    description: Description | None

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._calls = Calls()
        self._out = bytearray()
        self._events: list[SessionEvent] = []
        self._open = False
        self._was: Greeted | None = None
        self.board = None
        self.description = None
        self.counts = Counts()

    def close(self, now: float) -> list[SessionEvent]:
        """The connection is gone; calls that were not answered end."""
        del now
        self._end("the connection was closed")
        return self._take()

    def call(self, name: str, arguments: Mapping[str, Value], now: float, timeout: float = 10.0) -> int:
        """Asks the board to carry out a command; see `Session.call`."""
        if not self._open:
            raise LinkDownError(f"command {name}: the board is not connected; it was not started")
        encoded = self._check(name, arguments)
        token = self._calls.add(name, arguments, now + timeout, encoded)
        self._advance(now)
        return token

    def outgoing(self) -> bytes:
        """What is to be sent now; it is given once."""
        if not self._out:
            return b""
        data = bytes(self._out)
        self._out.clear()
        return data

    @abstractmethod
    def _check(self, name: str, arguments: Mapping[str, Value]) -> Encoded | None:
        """Raises what `call` raises, for a call that cannot be sent; returns it encoded, if it is now."""

    @abstractmethod
    def _advance(self, now: float) -> None:
        """Sends what may be sent now."""

    def _end(self, why: str) -> None:
        """The connection ends: nothing is known any more but for who the board was."""
        self._events += self._calls.end_all(why)
        self._out.clear()
        self._open = False
        self._was = self.board or self._was
        self.board = None

    def _tell_damage(self, damage: list[Damage]) -> None:
        """One event for all the damage of one read."""
        if damage:
            self.counts.damaged += len(damage)
            size = sum(each.size for each in damage)
            self._events.append(Damaged(count=len(damage), size=size, why=damage[0].why))

    def _take(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events
