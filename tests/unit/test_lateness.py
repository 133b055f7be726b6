"""Live readings and late ones; two devices with one account."""

from dataclasses import replace

import pytest

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
    behind = [reading(seq, 7200 - seq, clock="u") for seq in range(2, 6)]
    assert late(lateness, *behind) == [False] * 4
    assert late(lateness, reading(1, 7200 + 500, channel="other", clock="u")) == [True]
    ahead = [reading(seq, -7200 - seq, epoch="e2", clock="u") for seq in range(1, 5)]
    assert late(Lateness(), *ahead) == [False] * 4


def flow(
    lateness: Lateness, seqs: range, *, ahead: float = 0.0, every: float = 1.0, clock: ClockQuality = "u"
) -> list[bool]:
    """One reading an item, each at its second, by a clock that is so far ahead."""
    found = []
    for seq in seqs:
        made = replace(reading(seq, clock=clock), time=NOW + seq * every + ahead)
        found += late(lateness, made, at=NOW + seq * every)
    return found


@pytest.mark.parametrize("hours", [1, 20])
def test_an_unsynchronised_clock_that_is_set_back_makes_nothing_late(hours: int) -> None:
    lateness = Lateness()
    assert not any(flow(lateness, range(1, 10)))
    assert not any(flow(lateness, range(10, 5000), ahead=-hours * 3600.0))
    waited = replace(reading(5001, clock="u"), time=NOW + 5001 - hours * 3600.0)
    assert late(lateness, waited, at=NOW + 5001 + 200) == [True]


@pytest.mark.parametrize("clock", ["u", "s"])
def test_a_clock_that_goes_ahead_and_back_makes_nothing_late(clock: ClockQuality) -> None:
    lateness = Lateness()
    assert not any(flow(lateness, range(1, 10), clock=clock))
    assert not any(flow(lateness, range(10, 13), ahead=3600.0, clock=clock))
    assert not any(flow(lateness, range(13, 5000), clock=clock))
    for turn in range(5000, 5100, 2):
        assert flow(lateness, range(turn, turn + 1), ahead=3600.0, clock=clock) == [False]
        assert flow(lateness, range(turn + 1, turn + 2), clock=clock) == [False]


def test_a_synchronised_clock_is_believed_until_the_device_says_that_it_is_none() -> None:
    lateness = Lateness()
    assert not any(flow(lateness, range(1, 10), clock="s"))
    assert all(flow(lateness, range(10, 15), ahead=-3600.0, clock="s"))
    assert not any(flow(lateness, range(15, 200), ahead=-3600.0))


def test_a_clock_may_be_set_between_two_readings_of_an_item() -> None:
    lateness = Lateness()
    item = [reading(1, -3600, clock="u"), reading(2, -3600, clock="u"), reading(3, clock="u")]
    assert late(lateness, *item) == [False] * 3
    assert not any(flow(lateness, range(4, 200)))


def test_of_rare_readings_one_is_late_after_the_clock_was_set_back() -> None:
    for back in (-3600.0, -300.0):
        lateness = Lateness()
        assert not any(flow(lateness, range(1, 10), every=600.0))
        assert sum(flow(lateness, range(10, 100), ahead=back, every=600.0)) <= 2


def test_a_clock_that_was_set_back_in_an_outage_is_found_out_within_two_minutes() -> None:
    lateness = Lateness()
    assert not any(flow(lateness, range(1, 10)))
    found = flow(lateness, range(1800, 3000), ahead=-3600.0)
    assert not any(found[120:])


def test_an_unsynchronised_clock_that_is_slow_makes_nothing_late() -> None:
    lateness = Lateness()
    assert not any(
        flow(lateness, range(seq, seq + 1), ahead=-seq * 0.01, every=60.0)[0] for seq in range(1, 30_000)
    )


@pytest.mark.parametrize("back", [0.0, -3600.0])
def test_a_backlog_is_late_whenever_the_clock_was_set(back: float) -> None:
    """An outage of 7200 s; with `back`, the clock was set in its middle."""
    waited = [
        replace(reading(seq, clock="u"), time=NOW + seq + (back if seq > 3600 else 0.0))
        for seq in range(100, 7200)
    ]
    packs = [waited[at : at + 100] for at in range(0, len(waited), 100)]
    in_order, live_first = Lateness(), Lateness()
    assert not any(flow(in_order, range(1, 100)))
    assert not any(flow(live_first, range(1, 100)))
    for second, pack in enumerate(packs[:-3]):
        assert all(late(in_order, *pack, at=NOW + 7200 + second))
    flow(live_first, range(7200, 7400), ahead=back)
    for second, pack in enumerate(packs):
        other = [replace(each, channel="other") for each in pack]
        assert all(late(live_first, *pack, at=NOW + 7400 + second))
        if second < len(packs) - 3:
            assert all(late(live_first, *other, at=NOW + 7400 + second))
    assert not any(flow(in_order, range(7300, 7400), ahead=back))


def test_the_run_before_stays_late_after_its_clock_was_set_back() -> None:
    lateness = Lateness()
    assert not any(flow(lateness, range(1, 100)))
    assert not any(flow(lateness, range(100, 200), ahead=-3600.0))
    assert late(lateness, replace(reading(1, epoch="e2", clock="u"), time=NOW - 3300), at=NOW + 300) == [
        False
    ]
    left = replace(reading(201, clock="u"), time=NOW - 3399)
    assert late(lateness, left, at=NOW + 301) == [True]


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
