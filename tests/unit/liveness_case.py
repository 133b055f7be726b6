"""One device's liveness, by a clock that the test moves."""

import math
from dataclasses import dataclass, field
from typing import Any

from iotxmpp.liveness import Liveness, State

H = 10.0
PROMISED = 5.0
"""Seconds after three heartbeats within which people are promised to see that a device is lost."""


@dataclass
class Case:
    """One device, its clock, and a link that works unless it is said not to."""

    heartbeat: float = H
    link_works: bool = True
    answers: bool = False
    now: float = 1000.0
    shown: list[tuple[float, State]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = Liveness(self.now, link_up=True)
        self.sent = -math.inf

    def come(self, sleeping: float | None = None) -> None:
        self.device.available(self.now, heartbeat=self.heartbeat, sleeping=sleeping)
        self.note()

    def go(self, *, clean: bool = False, sleeping: float | None = None) -> None:
        self.device.unavailable(self.now, clean=clean, why="it left", sleeping=sleeping)
        self.note()

    def state(self) -> State:
        return self.device.state

    def hear(self) -> None:
        self.device.heard(self.now)
        self.note()

    def wait(self, seconds: float) -> State:
        """Lets time pass, and does what a controller does meanwhile."""
        end = self.now + seconds
        while (due := min(self.device.next_at, self.ping_ends)) <= end:
            assert due >= self.now or self.device.next_at < self.now, "time goes on"
            self.now = max(self.now, due)
            if self.now >= self.ping_ends:
                sent, self.sent = self.sent, -math.inf
                self.device.unanswered(self.now, sent, "no answer to a ping")
            self.device.tick(self.now)
            self.note()
        self.now = end
        self.device.tick(end)
        self.note()
        return self.device.state

    @property
    def ping_ends(self) -> float:
        return math.inf if self.sent == -math.inf else self.sent + self.patience

    def note(self) -> None:
        if self.device.wants_ping:
            self.sent = self.now
            self.patience = self.device.ping_patience(self.now)
            self.device.pinged(self.now)
            if self.answers:
                self.sent = -math.inf
                self.device.answered(self.now)
        if self.device.wants_proof and self.link_works:
            self.device.link_proved(self.now)
        if not self.shown or self.shown[-1][1] != self.device.state:
            self.shown.append((self.now, self.device.state))

    @property
    def states(self) -> list[State]:
        return [state for _, state in self.shown]


def online(**options: Any) -> Case:  # noqa: ANN401  # a case's own fields
    case = Case(**options)
    case.come()
    assert case.device.state == "online"
    return case
