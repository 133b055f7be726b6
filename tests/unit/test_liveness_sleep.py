"""The states of a device that sleeps."""

import pytest

from iotxmpp.liveness import GRACE, PING_PATIENCE
from tests.unit.liveness_case import H, online


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
