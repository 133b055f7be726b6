"""The states of one device, by a clock that the test moves."""

import math

from iotxmpp.liveness import GRACE, LOST_GRACE, LOST_HEARTBEATS, PING_PATIENCE, Liveness
from tests.unit.liveness_case import Case, H, online


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
