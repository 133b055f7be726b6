"""One device's liveness by the clock: what its controller hears goes in, changes come out."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from iotxmpp.controller.sessions import Seen, Sessions
from iotxmpp.liveness import Change, Liveness, State

if TYPE_CHECKING:
    from iotxmpp.link import Presence

Listener = Callable[[Change | None], None]
"""Told whenever something was judged, and the change that it made, if any."""


class Pulse:
    """The liveness of one device.

    Attributes:
        liveness: The state machine.
        last: The last change of what is shown; None before the first.
        listener: Who is told.
    """

    def __init__(
        self, sessions: Sessions, *, link_up: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.liveness = Liveness(clock(), link_up=link_up)
        self.last: Change | None = None
        self.listener: Listener = lambda _change: None
        self._sessions = sessions
        self._clock = clock
        self._known: Presence | None = None
        self._promised = False

    def saw_presence(self) -> None:
        """The sessions took a presence in; that of another session than the device's own changes nothing."""
        seen = self._sessions.latest
        if seen is None or seen.presence is self._known:
            return
        self._known = seen.presence
        if seen.presence.available:
            self._available(seen)
        else:
            self._unavailable(seen)
        self._judged()

    def heard(self) -> None:
        """Something came from the device."""
        self.liveness.heard(self._clock())
        self._judged()

    def link_down(self) -> None:
        """Our own link went down."""
        self.liveness.link_down(self._clock())
        self._judged()

    def link_up(self, *, resumed: bool) -> None:
        """Our own link is up again."""
        self.liveness.link_up(self._clock(), resumed=resumed)
        self._judged()
        self.saw_presence()  # one that was still waiting when the link went down

    def settle(self) -> None:
        """The server has told who is there."""
        self.liveness.settle(self._clock())
        seen = self._sessions.latest
        self._known = None if seen is None else seen.presence
        self._judged()

    def tick(self) -> None:
        """Time has passed."""
        self.liveness.tick(self._clock())
        self._judged()

    def pinged(self) -> float:
        """A ping goes out; gives its mark for `unanswered`."""
        now = self._clock()
        self.liveness.pinged(now)
        return now

    def ping_patience(self) -> float:
        """Seconds that a ping has for its answer."""
        return self.liveness.ping_patience(self._clock())

    def answered(self) -> None:
        """A ping was answered."""
        self.liveness.answered(self._clock())
        self._judged()

    def unanswered(self, sent: float, why: str) -> None:
        """The ping of that mark was refused, or not answered."""
        self.liveness.unanswered(self._clock(), sent, why)
        self._judged()

    def link_proved(self, at: float) -> None:
        """Our own link worked after this moment of the clock."""
        self.liveness.link_proved(at)
        self._judged()

    def _available(self, seen: Seen) -> None:
        status = seen.status
        self._promised = status is not None
        self.liveness.available(
            self._clock(),
            heartbeat=None if status is None else status.heartbeat,
            sleeping=None if status is None else status.sleeping,
        )

    def _unavailable(self, seen: Seen) -> None:
        status = seen.status
        stopped = status is not None and status.why == "stop"
        self.liveness.unavailable(
            self._clock(),
            clean=stopped or not self._promised,
            why="it stopped" if stopped else "its session ended without a goodbye",
            sleeping=None if status is None else status.sleeping,
        )

    def _judged(self) -> None:
        old: State = "unknown" if self.last is None else self.last.new
        new, change = self.liveness.state, None
        if new != old:
            self.last = change = Change(old=old, new=new, why=self.liveness.why, at=time.time())
        self.listener(change)
