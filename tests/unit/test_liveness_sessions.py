"""The states of a device while our own link is down, and in our new session."""

import pytest

from iotxmpp.liveness import GRACE, LOST_GRACE, LOST_HEARTBEATS, State
from tests.unit.liveness_case import Case, H, online


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
