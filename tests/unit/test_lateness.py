"""Live readings and late ones; two devices with one account."""

from dataclasses import replace

from iotxmpp.controller.clones import WINDOW, Clones
from iotxmpp.controller.lateness import GRACE, MOST_CHANNELS, Lateness
from iotxmpp.readings import ClockQuality, Reading

NOW = 1_800_000_000.0
HEARTBEAT = 30.0


def reading(
    seq: int, age: float = 0.0, *, epoch: str = "e1", channel: str = "t", clock: ClockQuality = "s"
) -> Reading:
    return Reading(channel=channel, value=1.0, time=NOW - age, epoch=epoch, seq=seq, clock=clock)


def late(lateness: Lateness, *readings: Reading, at: float = NOW) -> list[bool]:
    marked = lateness.mark(readings, at, heartbeat=HEARTBEAT)
    assert {each.received for each in marked} == {at}
    assert [replace(each, received=None, historical=False) for each in marked] == list(readings)
    return [each.historical for each in marked]


def test_what_comes_at_once_is_live() -> None:
    lateness = Lateness()
    assert late(lateness, reading(1, 2), reading(2, 1), reading(3)) == [False] * 3


def test_what_is_old_when_it_comes_is_late() -> None:
    edge = GRACE + HEARTBEAT
    assert late(Lateness(), reading(1, edge + 1), reading(2, edge - 1)) == [True, False]


def test_the_backlog_that_comes_after_a_live_reading_is_late() -> None:
    lateness = Lateness()
    assert late(lateness, reading(9)) == [False]
    assert late(lateness, reading(7, 2), reading(8, 1)) == [True, True]
    assert late(lateness, reading(8, 1, channel="other")) == [False]
    assert late(lateness, reading(10)) == [False]


def test_what_a_run_before_left_is_late() -> None:
    lateness = Lateness()
    assert late(lateness, reading(1, epoch="e2")) == [False]
    assert late(lateness, reading(90, 3, epoch="e1")) == [True]


def test_a_clock_that_is_set_back_does_not_make_new_readings_late() -> None:
    lateness = Lateness()
    assert late(lateness, reading(1, -3600)) == [False]
    assert late(lateness, reading(2)) == [False]
    assert late(lateness, reading(1, 0.5, epoch="e2"), at=NOW + 1) == [True], "made before the last one came"
    assert late(lateness, replace(reading(2, epoch="e2"), time=NOW + 2), at=NOW + 2) == [False]


def test_a_clock_that_was_never_synchronised_is_compared_with_itself() -> None:
    lateness = Lateness()
    behind = [reading(seq, 7200 - seq, clock="u") for seq in range(1, 5)]
    assert late(lateness, *behind) == [False] * 4
    assert late(lateness, reading(5, 7200 + 500, channel="other", clock="u")) == [True]
    ahead = [reading(seq, -7200 - seq, epoch="e2", clock="u") for seq in range(1, 5)]
    assert late(Lateness(), *ahead) == [False] * 4


def test_it_goes_on_from_what_the_store_had() -> None:
    lateness = Lateness()
    lateness.start_from([replace(reading(9), received=NOW)])
    assert late(lateness, reading(8, 1), reading(10)) == [True, False]


def test_its_memory_is_bounded() -> None:
    lateness = Lateness()
    for number in range(MOST_CHANNELS + 50):
        late(lateness, reading(number + 1, channel=f"c{number}"))
        late(lateness, reading(1, epoch=f"e{number}", clock="u"))
    assert len(lateness._newest) == MOST_CHANNELS
    assert len(lateness._errors) == 16


def test_two_that_go_on_side_by_side_are_clones_and_told_once() -> None:
    clones = Clones()
    found = []
    for second in range(10):
        found += [
            clones.see([reading(second + 1, -second, epoch=epoch)], float(second)) for epoch in ("e1", "e2")
        ]
    told = [each for each in found if each is not None]
    assert [set(each) for each in told] == [{"e1", "e2"}]


def test_a_device_that_was_started_again_is_no_clone() -> None:
    clones = Clones()
    for second in range(20):
        assert clones.see([reading(second + 1, 20 - second, epoch="e1")], float(second)) is None
    for second in range(20, 40):
        assert clones.see([reading(second, 20 - second, epoch="e2")], float(second)) is None
        left = reading(second, 40 - second, epoch="e1")
        assert clones.see([replace(left, time=NOW - 1)], float(second)) is None
    assert clones.see([], 41.0) is None


def test_restarts_far_apart_are_no_clones() -> None:
    clones = Clones()
    for turn in range(20):
        at = turn * (WINDOW + 1)
        epoch = ("e1", "e2")[turn % 2]
        assert clones.see([reading(turn + 1, -at, epoch=epoch)], at) is None


def test_a_device_that_restarts_all_the_time_is_no_clone() -> None:
    clones = Clones()
    for turn in range(100):
        assert clones.see([reading(1, -turn, epoch=f"e{turn}")], float(turn)) is None
