"""The states of a device that flaps, and the bounds for any sequence of events."""

import math
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from iotxmpp.liveness import FLAP_WINDOW, FLAPS, GRACE, LOST_HEARTBEATS, PING_PATIENCE
from tests.unit.liveness_case import PROMISED, Case, online


def flap(case: Case, times: int, every: float = 0.5) -> None:
    for number in range(times):
        if number % 2:
            case.come()
        else:
            case.go()
        case.wait(every)


# Flapping.


def test_a_device_that_flaps_is_held_and_counted() -> None:
    case = online()
    flap(case, 20)
    assert len(case.states) <= FLAPS + 2
    assert case.device.hidden >= 20 - FLAPS - 2


def test_what_stays_is_shown_when_it_has_been_calm() -> None:
    case = online(heartbeat=1000.0)
    flap(case, 21)
    assert case.device.state == "online"
    assert case.wait(FLAP_WINDOW) == "lost"


def test_flapping_hides_no_sure_silence() -> None:
    case = online(heartbeat=1.0)
    flap(case, 20, every=0.1)
    case.come()
    assert case.wait(LOST_HEARTBEATS + PROMISED) == "lost"


def test_flapping_does_not_wait_with_a_loss_that_a_ping_has_shown() -> None:
    case = online(heartbeat=30.0)
    flap(case, 20, every=0.1)
    case.come()
    assert case.wait(30 + GRACE + PING_PATIENCE) == "lost"


def test_flapping_hides_no_end_of_a_session_beyond_the_bound() -> None:
    case = online(heartbeat=1.0)
    flap(case, 21, every=0.1)
    assert case.state() == "online"
    assert case.wait(LOST_HEARTBEATS + PROMISED) == "lost"


def test_flapping_hides_no_life() -> None:
    case = online(heartbeat=1.0)
    flap(case, 20, every=0.1)
    assert case.wait(20) == "lost"
    case.come()
    assert case.device.state == "online"


def test_flapping_hides_no_goodbye_after_a_long_silence() -> None:
    case = Watched(heartbeat=0.5)
    for what, then in (
        ("come", 2.0),
        ("go", 0.0),
        ("come", 0.0),
        ("sleep", 0.0),
        ("hear", 7.0),
        ("stop", 0.0),
    ):
        case.do(what)
        case.wait_watching(then)
    assert case.device.state == "offline"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["come", "hear", "go", "stop", "sleep", "down", "resume", "renew", "settle", "answer"]
        ),
        st.one_of(st.floats(0.0, 3.0), st.floats(0.0, 40.0), st.floats(0.0, 200.0)),
    ),
    max_size=60,
)


# For any sequence of events.


@settings(max_examples=400, deadline=None)
@given(events=EVENTS, heartbeat=st.sampled_from([0.5, 2.0, 10.0, 30.0]))
def test_the_bounds_hold_for_any_sequence(events: list[tuple[str, float]], heartbeat: float) -> None:
    case = Watched(heartbeat=heartbeat)
    for what, then in events:
        case.do(what)
        case.wait_watching(then)
    case.wait_watching(LOST_HEARTBEATS * heartbeat + PROMISED + FLAP_WINDOW)


@dataclass
class Watched(Case):
    """Checks, at every moment at which anything can change, what people are promised."""

    there: bool = False
    link: bool = True
    settled: bool = True
    asleep_until: float = -math.inf
    counts_from: float = -math.inf
    life: float = -math.inf
    left: bool = False
    hidden_since: float = math.inf

    def do(self, what: str) -> None:
        if what in {"down", "resume", "renew"}:
            self.change_link(what)
        elif what == "settle":
            self.device.settle(self.now)
        elif self.link:
            self.say(what)
        self.note()
        self.check()

    def change_link(self, what: str) -> None:
        if what == "down" and self.link:
            self.link = False
            self.device.link_down(self.now)
        elif what != "down" and not self.link:
            self.link = True
            self.device.link_up(self.now, resumed=what == "resume")
            self.there = self.there and what == "resume"
            self.left = self.left and what == "resume"
            self.counts_from = self.now

    def say(self, what: str) -> None:
        if what in {"come", "sleep"}:
            self.there, self.left, self.life = True, False, self.now
            self.asleep_until = self.now + 100.0 if what == "sleep" else -math.inf
            self.come(100.0 if what == "sleep" else None)
        elif what in {"go", "stop"}:
            self.there, self.left = False, True
            if what == "stop":
                self.asleep_until = -math.inf
            self.go(clean=what == "stop")
        elif self.there:
            self.life = self.now
            if what == "answer":
                self.device.answered(self.now)
            else:
                self.hear()

    def wait_watching(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := min(self.device.next_at, self.ping_ends)) < end:
            before = self.now
            self.wait(max(0.0, due - self.now))
            self.check()
            assert (self.now, self.device.next_at) != (before, due), "a tick always brings it further"
        self.wait(end - self.now)
        self.check()

    def check(self) -> None:
        state, true = self.device.state, self.device._true
        silence = self.now - max(self.life, self.counts_from, self.asleep_until)
        if not self.link:
            assert state == "unknown"
            return
        if self.there and silence >= LOST_HEARTBEATS * self.heartbeat + PROMISED:
            assert state == "lost", f"silent for {silence}"
        if self.left and silence >= LOST_HEARTBEATS * self.heartbeat + PROMISED:
            assert state in {"lost", "offline"}, f"it left, {silence} s ago"
        if self.there and self.now - self.life < self.heartbeat:
            assert state not in {"lost", "offline"}, "it is heard"
        if self.there and self.now < self.asleep_until:
            assert state not in {"lost", "offline"}, "it sleeps"
        if state == true:
            self.hidden_since = math.inf
        else:
            self.hidden_since = min(self.hidden_since, self.now)
            assert self.now - self.hidden_since <= FLAP_WINDOW
