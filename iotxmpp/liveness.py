"""Whether a device is alive: the states of one device, and what moves it from one to the other.

No clock and no link here: who asks brings the time, in seconds of a clock that nobody sets. The rules stand
in docs/protocol.md, section "Liveness".
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["online", "stale", "lost", "sleeping", "offline", "unknown"]

STATES: tuple[State, ...] = get_args(State)

GRACE = 1.0
"""Seconds beyond its heartbeat that a device may be silent before it is in doubt."""

LOST_HEARTBEATS = 3
LOST_GRACE = 4.0
"""A device that is silent for three heartbeats and so many seconds is lost.

One second less than what is promised to people, for the proof that our own link works.
"""

PING_PATIENCE = 10.0
"""Seconds at most that a device in doubt has to answer a ping."""

FLAPS = 6
FLAP_WINDOW = 60.0
"""More changes than `FLAPS` in so many seconds are flapping: what is shown is held, at most for as long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A device's state changed.

    Attributes:
        old: What it was.
        new: What it is.
        why: What showed it, for people.
        at: When, by this machine's clock, in seconds since 1970 (UTC).
    """

    old: State
    new: State
    why: str
    at: float


class Liveness:
    """The state machine of one device.

    Every time given to it is of the same monotonic clock, in seconds.

    Attributes:
        state: What is shown.
        why: What showed it, for people.
        hidden: How many changes were not shown at once, because the device flaps.
    """

    def __init__(self, at: float, *, link_up: bool) -> None:
        self.state: State = "unknown"
        self.why = "nothing is known yet"
        self.hidden = 0
        self._true: State = "unknown"
        self._link_up = link_up
        self._there: bool | None = None
        self._clean = False
        self._left = ""
        self._before: tuple[bool, bool] | None = None
        self._missed = False
        self._heartbeat: float | None = None
        self._since = at
        self._wakes: float | None = None
        self._stirred = False
        self._due: float | None = None
        self._due_why = ""
        self._ping: float | None = None
        self._changes: deque[float] = deque(maxlen=FLAPS + 1)
        self._hold_until: float | None = None

    # What happens.

    def available(self, at: float, *, heartbeat: float | None, sleeping: float | None = None) -> None:
        """Presence: a session is there.

        Args:
            at: When it came.
            heartbeat: The promised longest silence, in seconds; None where nothing is promised.
            sleeping: The device will not be heard for so many seconds; None for awake.
        """
        self._there, self._missed = True, False
        self._heartbeat = heartbeat
        self._wakes = None if sleeping is None else at + sleeping
        self._hear(at)
        self._stirred = False
        self._judge(at, "presence")

    def unavailable(self, at: float, *, clean: bool, why: str, sleeping: float | None = None) -> None:
        """Presence: the last session has left.

        Args:
            at: When it came.
            clean: The device itself said that it stops, or had never promised anything.
            why: What that shows, for people.
            sleeping: It will be back in so many seconds, as it says.
        """
        self._there, self._missed = False, False
        self._clean = clean and sleeping is None
        self._left = why
        if sleeping is not None:
            self._wakes = at + sleeping
        elif clean:
            self._wakes = None
        if self._wakes is not None and at < self._sleep_ends_at:
            self._left = "it did not wake in time"
        self._calm()
        self._judge(at)

    def heard(self, at: float, by: str = "heard") -> None:
        """A sign of life other than presence; it counts while a session is there."""
        if self._there and self._link_up:
            self._hear(at)
            self._stirred = True
        self._judge(at, by)

    def pinged(self, at: float) -> None:
        """A ping was sent."""
        self._ping = at

    def answered(self, at: float) -> None:
        """A ping was answered."""
        self.heard(at, "it answered a ping")

    def unanswered(self, at: float, sent: float, why: str) -> None:
        """A ping was refused, or not answered in time.

        Args:
            at: Now.
            sent: When it was sent; one before the last sign of life says nothing.
            why: What came instead of the answer.
        """
        if self._ping == sent and self._due is None:
            self._due, self._due_why = at, why
        self._judge(at)

    def link_proved(self, at: float) -> None:
        """Our own link works: what was asked for this moment or before would have come."""
        if self._due is not None and at >= self._due:
            self._judge(at, proved=True)

    def link_down(self, at: float) -> None:
        """Our own link went down: nothing is known."""
        self._link_up = False
        if self._true != "lost":
            self._calm()
        self._judge(at)

    def link_up(self, at: float, *, resumed: bool) -> None:
        """Our own link is up; silence counts from now on, for what was said before could not be heard.

        Args:
            at: Now.
            resumed: What was known still holds.
        """
        self._link_up = True
        if not resumed:
            self._begin_anew(at)
        self._since = max(self._since, at)
        self._stirred = False
        self._judge(at, "our link is back")

    def settle(self, at: float) -> None:
        """The server has told who is there: who was seen before this session, and not in it, is gone.

        Not so one that was well before: its link may have been cut with ours, and needs time to come back.
        """
        if self._there is None and self._before is not None and self._link_up and not self._missed:
            was_there, was_clean = self._before
            self._there, self._clean = False, was_clean and not was_there
            self._left = "it stopped" if self._clean else "it is gone since our link was down"
        self._judge(at)

    def tick(self, at: float) -> None:
        """Time has passed."""
        self._judge(at)

    # What is to be done.

    @property
    def next_at(self) -> float:
        """When `tick` can next change anything; infinity for never."""
        times = [math.inf]
        if self._true == "online":
            times.append(self._stale_at)
        elif (self._true == "stale" or self.missed) and self._due is None:
            times.append(self._lost_at)
        if self._true in {"online", "sleeping"}:
            times.append(self._sleep_ends_at)
        if self._hold_until is not None:
            times.append(min(self._hold_until, self._calm_at))
        return min(times)

    @property
    def wants_ping(self) -> bool:
        """Whether the device is in doubt, and no ping is under way."""
        return self._true == "stale" and self._ping is None and self._due is None

    @property
    def wants_proof(self) -> bool:
        """Whether it is lost, if only our own link works: see `link_proved`."""
        return (self._true == "stale" or self.missed) and self._due is not None

    def ping_patience(self, at: float) -> float:
        """Seconds that a ping sent now has for its answer."""
        return max(0.1, min(PING_PATIENCE, self._lost_at - at))

    @property
    def missed(self) -> bool:
        """Whether it was well before our new session, and has not come back yet; the clock decides."""
        return self._missed and self._link_up

    @property
    def sleeps_until(self) -> float | None:
        """When it will be awake, as it said; None where it did not say that it sleeps."""
        return self._wakes

    # How it is found.

    @property
    def _stale_at(self) -> float:
        return math.inf if self._heartbeat is None else self._since + self._heartbeat + GRACE

    @property
    def _lost_at(self) -> float:
        if self._heartbeat is None:
            return math.inf
        return self._since + LOST_HEARTBEATS * self._heartbeat + LOST_GRACE

    @property
    def _sleep_ends_at(self) -> float:
        """When it must have been heard again after its sleep."""
        return math.inf if self._wakes is None else self._wakes + (self._heartbeat or 0.0) + GRACE

    @property
    def _calm_at(self) -> float:
        """When the device no longer flaps, if nothing changes until then."""
        return self._changes[0] + FLAP_WINDOW if len(self._changes) > FLAPS else -math.inf

    def _begin_anew(self, at: float) -> None:
        """Our own session is new: who was there has to show itself again."""
        if self._there is not None:
            was_lost = self._there and self._due is not None
            asleep = self._wakes is not None and at < self._sleep_ends_at
            wanted = self._there or self._wakes is not None
            self._missed = wanted and not was_lost and not asleep and self._heartbeat is not None
            self._before, self._there = (self._there, self._clean), None

    def _hear(self, at: float) -> None:
        self._since = max(self._since, at)
        self._calm()

    def _calm(self) -> None:
        """Nothing is in doubt: what a ping under way may bring says nothing."""
        self._due = self._ping = None

    def _judge(self, at: float, alive: str = "", *, proved: bool = False) -> None:
        """Finds the true state, and what of it to show.

        Args:
            at: Now.
            alive: What showed that the device is alive.
            proved: Our own link works.
        """
        true, why = self._truth(at, alive, proved=proved)
        if true != self._true:
            if "unknown" not in (true, self._true):
                self._changes.append(at)
            by_silence = true == "lost" and bool(self._there)
            self._true = true
            self._show(at, why, at_once=by_silence, is_new=True)
        else:
            self._show(at, why, at_once=False, is_new=False)

    def _truth(self, at: float, alive: str, *, proved: bool) -> tuple[State, str]:
        if not self._link_up:
            return "unknown", "our own link is down"
        if self._there is None:
            return self._absent(at, proved=proved)
        if self._wakes is not None:
            if at < self._sleep_ends_at:
                return self._asleep(at, alive)
            self._since, self._wakes = max(self._since, self._wakes), None
        if not self._there:
            return ("offline" if self._clean else "lost"), self._left
        if self._true == "lost" and self._due is not None:
            return "lost", self.why
        return self._by_clock(at, alive, proved=proved)

    def _absent(self, at: float, *, proved: bool) -> tuple[State, str]:
        """Our own session is new, and the device has not shown itself: it has as long as a silent one."""
        if self._missed and self._due is None and at >= self._lost_at:
            self._due = at
        if self._missed and self._due is not None and proved:
            self._there, self._clean, self._missed, self._wakes = False, False, False, None
            self._left = f"not back {at - self._since:.0f} s after our own link"
            self._calm()
            return "lost", self._left
        return "unknown", "its presence has not come yet"

    def _asleep(self, at: float, alive: str) -> tuple[State, str]:
        """Between the promise to sleep and the waking: online only for as long as it is heard after all."""
        if self._there and self._stirred and at < self._stale_at:
            return "online", alive or "heard"
        return "sleeping", "it said that it sleeps"

    def _by_clock(self, at: float, alive: str, *, proved: bool) -> tuple[State, str]:
        silence = at - self._since
        if self._due is None and at >= self._lost_at:
            self._due, self._due_why = at, f"silent for {silence:.0f} s"
        if self._due is not None and proved:
            return "lost", self._due_why
        if at >= self._stale_at or self._due is not None:
            return "stale", f"silent for {silence:.0f} s"
        return "online", alive or "heard"

    # What is shown.

    def _show(self, at: float, why: str, *, at_once: bool, is_new: bool) -> None:
        if self._true == self.state:
            self.hidden += is_new and self._hold_until is not None
            self._hold_until = None
            return
        flaps = at < self._calm_at
        # A silence that is sure, and a life that is shown as over, are never held.
        free = "unknown" in (self._true, self.state) or self.state in {"lost", "offline"}
        hold_until = self._hold_until
        if hold_until is None:
            hold_until = min(at + FLAP_WINDOW, self._lost_at)
        if flaps and at < hold_until and not (at_once or free):
            self.hidden += is_new
            self._hold_until = hold_until
            return
        self.state, self.why = self._true, why
        self._hold_until = None
