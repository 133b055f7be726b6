"""When a device is asked again for what is missing."""

from itertools import pairwise

from iotxmpp.controller.gapwatch import LONGEST, SILENT, STUCK, GapWatch


def watched() -> GapWatch:
    watch = GapWatch()
    watch.heard(100.0)
    watch.settled("e1", 5, 3, 100.0)
    return watch


def test_without_a_hole_nothing_is_asked() -> None:
    watch = GapWatch()
    watch.heard(0.0)
    watch.settled("e1", 5, 0, 0.0)
    assert not watch.open
    assert not watch.due(10_000.0)


def test_a_hole_is_asked_for_when_the_device_has_been_silent() -> None:
    watch = watched()
    assert not watch.due(100.0 + SILENT - 0.1)
    assert watch.due(100.0 + SILENT)
    assert not watch.due(100.0 + SILENT + 0.1)


def test_as_long_as_the_hole_shrinks_nothing_is_asked() -> None:
    watch = watched()
    for step in range(1, 20):
        now = 100.0 + 9 * step
        watch.heard(now)
        watch.settled("e1", 5 + step, 30 - step, now)
        assert not watch.due(now + 9)


def test_other_readings_put_it_off_only_for_a_while() -> None:
    watch = watched()
    for second in range(1, int(STUCK)):
        watch.heard(100.0 + second)
        watch.settled("e1", 5, 3, 100.0 + second)
        assert not watch.due(100.0 + second)
    watch.heard(100.0 + STUCK)
    assert watch.due(100.0 + STUCK)


def test_questions_that_bring_nothing_become_rare() -> None:
    watch = watched()
    asked = [second for second in range(100, 4000) if watch.due(float(second))]
    pauses = [b - a for a, b in pairwise(asked)]
    assert pauses[:4] == [10, 20, 40, 80]
    assert max(pauses) == LONGEST
    watch.settled("e1", 6, 2, 4000.0)
    assert watch.due(4000.0 + SILENT)


def test_a_filled_hole_is_forgotten() -> None:
    watch = watched()
    watch.settled("e1", 20, 0, 101.0)
    assert not watch.open
    assert not watch.due(200.0)


def test_what_was_postponed_must_come_again() -> None:
    watch = GapWatch()
    watch.settled("e1", 5, 0, 0.0, postponed=True)
    assert watch.due(SILENT)
