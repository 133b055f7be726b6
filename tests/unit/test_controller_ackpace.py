"""The pace of acks: prompt to few sessions, seldom to many."""

import pytest

from iotxmpp.controller.ackpace import EVERY, LEAST, MOST_A_SECOND, AckPace


def told(pace: AckPace, sessions: int, now: float) -> None:
    for number in range(sessions):
        pace.told(f"device-{number}@example.org/1", now)


@pytest.mark.parametrize(
    ("sessions", "between"),
    [(0, LEAST), (1, LEAST), (2, LEAST), (25, 25 / MOST_A_SECOND), (50, EVERY), (1000, EVERY)],
)
def test_the_more_sessions_are_told_the_longer_each_waits(sessions: int, between: float) -> None:
    pace = AckPace()
    told(pace, sessions, 100.0)
    told(pace, sessions, 100.5)
    assert pace.between() == pytest.approx(between)


def test_it_is_prompt_again_when_most_have_gone() -> None:
    pace = AckPace()
    told(pace, 50, 100.0)
    told(pace, 1, 101.1)
    assert pace.between() == EVERY, "those of the second before may still be there"
    told(pace, 1, 102.2)
    assert pace.between() == LEAST


def test_a_pause_makes_it_prompt_at_once() -> None:
    pace = AckPace()
    told(pace, 50, 100.0)
    told(pace, 1, 110.0)
    assert pace.between() == LEAST
