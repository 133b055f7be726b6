"""The states of one device, by a clock that the test moves."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotxmpp.liveness import (
    FLAP_WINDOW,
    FLAPS,
    GRACE,
    LOST_GRACE,
    LOST_HEARTBEATS,
    PING_PATIENCE,
    Liveness,
    State,
)

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


def online(**options: object) -> Case:
    case = Case(**options)  # type: ignore[arg-type]
    case.come()
    assert case.device.state == "online"
    return case


def test_at_first_nothing_is_known() -> None:
    case = Case()
    assert (case.device.state, case.device.next_at) == ("unknown", math.inf)
    case.hear()
    assert case.device.state == "unknown", "who it is that is heard is known by presence"
    assert case.wait(1e6) == "unknown"


def test_a_device_that_keeps_its_promise_is_online() -> None:
    case = online()
    for _ in range(100):
        assert case.wait(H) == "online"
        case.hear()
    assert case.states == ["online"]


def test_silence_is_a_doubt_and_an_unanswered_ping_the_end() -> None:
    case = online()
    assert case.wait(H + GRACE - 0.01) == "online"
    assert case.wait(0.01) == "stale"
    assert case.wait(PING_PATIENCE - 0.01) == "stale"
    assert case.wait(0.01) == "lost"
    assert case.device.why == "no answer to a ping"
    assert case.states == ["online", "stale", "lost"]
    assert case.wait(1e6) == "lost"


def test_an_answered_ping_ends_the_doubt() -> None:
    case = online(answers=True)
    assert case.wait(H + GRACE) == "online"
    assert case.device.why == "it answered a ping"


def test_a_refused_ping_is_the_end_at_once() -> None:
    case = online()
    case.wait(H + GRACE)
    case.device.unanswered(case.now, case.sent, "refused")
    case.note()
    assert (case.device.state, case.device.why) == ("lost", "refused")


def test_a_sign_of_life_makes_an_old_ping_meaningless() -> None:
    case = online()
    case.wait(H + GRACE)
    sent = case.sent
    case.hear()
    assert case.device.state == "online"
    case.device.unanswered(case.now + 1, sent, "no answer")
    assert (case.device.state, case.device.wants_proof) == ("online", False)


def test_without_an_answer_to_wait_for_three_heartbeats_decide() -> None:
    device = Liveness(0.0, link_up=True)
    device.available(0.0, heartbeat=H)
    device.tick(H + GRACE)
    assert device.wants_ping, "nobody pings it here"
    limit = LOST_HEARTBEATS * H + LOST_GRACE
    assert device.next_at == limit
    device.tick(limit)
    device.link_proved(limit)
    assert (device.state, device.why) == ("lost", "silent for 34 s")


def test_a_ping_has_no_longer_than_the_bound() -> None:
    for heartbeat in (0.1, 1.0, 30.0, 3600.0):
        case = online(heartbeat=heartbeat)
        case.wait(heartbeat + GRACE)
        assert case.now + case.patience <= 1000 + LOST_HEARTBEATS * heartbeat + LOST_GRACE + 1e-6
        assert case.patience >= 3.0, "no less than what a packet or two that are lost cost"


def test_nobody_is_lost_before_our_own_link_is_proved() -> None:
    case = online(link_works=False)
    assert case.wait(100 * H) == "stale"
    assert case.device.wants_proof
    case.device.link_proved(1000.0)
    assert case.state() == "stale", "that was before"
    case.device.link_proved(case.now)
    assert case.state() == "lost"


def test_who_is_lost_by_silence_comes_back_when_heard() -> None:
    case = online()
    assert case.wait(5 * H) == "lost"
    case.hear()
    assert (case.device.state, case.device.why) == ("online", "heard")


def test_a_clean_stop_is_offline_at_once_and_stays_so() -> None:
    case = online()
    case.go(clean=True)
    assert (case.device.state, case.device.why) == ("offline", "it left")
    case.hear()
    assert case.wait(1e6) == "offline", "what comes late from a session that is over is no life"
    case.come()
    assert case.device.state == "online"


def test_a_session_that_ends_without_a_goodbye_is_lost_at_once() -> None:
    case = online()
    case.go()
    assert case.device.state == "lost"


def test_who_promises_nothing_is_judged_by_presence_alone() -> None:
    case = Case()
    case.device.available(case.now, heartbeat=None)
    assert case.wait(1e9) == "online"


def test_a_sleeping_device_is_left_in_peace() -> None:
    case = online()
    case.come(sleeping=600.0)
    assert case.device.state == "sleeping"
    assert case.device.sleeps_until == 1600.0
    assert case.wait(600 + H + GRACE - 0.01) == "sleeping"
    assert case.wait(0.02) == "stale"
    assert case.wait(PING_PATIENCE) == "lost"
    assert case.states == ["online", "sleeping", "stale", "lost"]


@pytest.mark.parametrize("clean", [True, False])
def test_a_device_may_leave_to_sleep(clean: bool) -> None:
    case = online()
    case.come(sleeping=600.0)
    case.wait(5)
    case.go(clean=clean, sleeping=595.0 if clean else None)
    assert case.device.state == "sleeping"
    assert case.wait(590) == "sleeping"
    assert case.wait(5 + H + GRACE) == "lost"
    assert case.device.why == "it did not wake in time"
    case.come()
    assert (case.device.state, case.device.sleeps_until) == ("online", None)


def test_a_stop_ends_a_sleep() -> None:
    case = online()
    case.come(sleeping=600.0)
    case.go(clean=True)
    assert (case.device.state, case.device.sleeps_until) == ("offline", None)


def test_a_sleeper_that_is_heard_is_online_and_then_asleep_again() -> None:
    case = online()
    case.come(sleeping=600.0)
    case.wait(100)
    case.hear()
    assert case.device.state == "online"
    assert case.wait(H + GRACE) == "sleeping"


def test_a_sleeper_that_wakes_keeps_its_promise_from_then_on() -> None:
    case = online()
    case.come(sleeping=60.0)
    case.wait(61)
    case.come()
    assert case.device.state == "online"
    assert case.wait(H + GRACE) == "stale"


def test_nothing_is_known_while_our_link_is_down() -> None:
    case = online()
    case.device.link_down(case.now)
    assert case.state() == "unknown"
    assert case.wait(1e6) == "unknown"
    case.device.link_up(case.now, resumed=True)
    assert case.state() == "online"
    assert case.wait(H) == "online", "silence counts from our return"
    assert case.wait(GRACE) == "stale"


def test_who_was_lost_is_so_when_a_session_goes_on() -> None:
    case = online()
    assert case.wait(5 * H) == "lost"
    case.device.link_down(case.now)
    case.wait(1)
    case.device.link_up(case.now, resumed=True)
    case.note()
    assert case.device.state == "lost"


@pytest.mark.parametrize(
    ("leaves", "then"),
    [
        ("no", "unknown"),
        ("cleanly", "offline"),
        ("suddenly", "lost"),
        ("silently", "lost"),
        ("never came", "unknown"),
    ],
)
def test_who_does_not_come_back_in_our_new_session(leaves: str, then: State) -> None:
    case = Case()
    if leaves != "never came":
        case.come()
    if leaves in ("cleanly", "suddenly"):
        case.go(clean=leaves == "cleanly")
    if leaves == "silently":
        case.wait(5 * H)
    case.device.link_down(case.now)
    case.device.link_up(case.now, resumed=False)
    assert case.device.state == "unknown"
    case.device.settle(case.now)
    assert case.device.state == then


def test_who_was_well_before_our_new_session_has_the_time_of_a_silent_one_to_come_back() -> None:
    case = online()
    renew(case)
    assert case.wait(LOST_HEARTBEATS * H + LOST_GRACE - 0.01) == "unknown"
    assert case.wait(0.01) == "lost"
    assert case.device.why == "not back 34 s after our own link"
    case.come()
    assert case.states == ["online", "unknown", "lost", "online"]


def test_who_comes_back_meanwhile_was_never_lost() -> None:
    case = online()
    renew(case)
    case.wait(LOST_HEARTBEATS * H)
    case.come()
    assert case.wait(H) == "online"
    assert case.states == ["online", "unknown", "online"]


def test_each_new_session_of_ours_gives_that_time_anew() -> None:
    case = online()
    for _ in range(3):
        renew(case)
        assert case.wait(LOST_HEARTBEATS * H) == "unknown"
    assert case.wait(LOST_GRACE) == "lost"


def test_nobody_is_missed_for_ever_before_our_link_is_proved() -> None:
    case = online(link_works=False)
    renew(case)
    assert case.wait(10 * H) == "unknown"
    case.link_works = True
    assert case.wait(0) == "lost"


def test_a_sleeper_that_woke_while_our_link_was_down_has_that_time_too() -> None:
    case = Case()
    case.come(sleeping=100.0)
    case.device.link_down(case.now)
    case.wait(200)
    renew(case)
    assert case.wait(LOST_HEARTBEATS * H) == "unknown"
    assert case.wait(LOST_GRACE) == "lost"


def test_a_sleeper_sleeps_on_in_our_new_session() -> None:
    case = Case()
    case.come(sleeping=100.0)
    renew(case)
    assert case.state() == "sleeping"
    assert case.wait(100 + H + GRACE) == "lost"


def renew(case: Case) -> None:
    """A cut of our own link, and a new session after it that shows nobody."""
    case.device.link_down(case.now)
    case.note()
    case.device.link_up(case.now, resumed=False)
    case.note()
    case.device.settle(case.now)
    case.note()


def test_who_comes_back_in_our_new_session_is_online() -> None:
    case = online()
    case.device.link_down(case.now)
    case.device.link_up(case.now, resumed=False)
    case.come()
    case.device.settle(case.now)
    assert case.device.state == "online"


# Flapping.


def flap(case: Case, times: int, every: float = 0.5) -> None:
    for number in range(times):
        if number % 2:
            case.come()
        else:
            case.go()
        case.wait(every)


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


# For any sequence of events.

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["come", "hear", "go", "stop", "sleep", "down", "resume", "renew", "settle", "answer"]
        ),
        st.one_of(st.floats(0.0, 3.0), st.floats(0.0, 40.0), st.floats(0.0, 200.0)),
    ),
    max_size=60,
)


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
