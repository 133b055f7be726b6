"""The pace of acks: prompt while there are few, seldom while there are many."""

import pytest

from iotxmpp.controller.ackpace import EVERY, LEAST, MOST_A_SECOND, AckPace


def steady(pace: AckPace, rate: float, seconds: float, start: float) -> float:
    """So many acks a second; returns when they end."""
    count = round(rate * seconds)
    for number in range(count):
        pace.told(start + number / rate)
    return start + seconds


def greedy(pace: AckPace, sessions: int, seconds: float, start: float) -> float:
    """Sessions of which each is told as often as it may be; returns how many acks a second came at last."""
    now, counted = start, 0
    while now < start + seconds:
        for number in range(sessions):
            pace.told(now + number * pace.between() / sessions)
            counted += now >= start + seconds - 2
        now += pace.between()
    return counted / (2 + now - start - seconds)


@pytest.mark.parametrize("rate", [1, 40, 500, 900])
def test_few_acks_are_prompt_however_many_sessions_they_are_to(rate: float) -> None:
    pace = AckPace()
    steady(pace, rate, 5, 100.0)
    assert pace.between() == pytest.approx(LEAST)


@pytest.mark.parametrize(
    ("sessions", "between"), [(1, LEAST), (10, LEAST), (50, 0.05), (80, 0.08), (200, EVERY), (1000, EVERY)]
)
def test_many_that_always_have_news_share_what_there_is(sessions: int, between: float) -> None:
    pace = AckPace()
    found = greedy(pace, sessions, 10, 100.0)
    assert pace.between() == pytest.approx(between, rel=0.15)
    if between < EVERY:
        assert found <= 1.2 * MOST_A_SECOND


def test_a_flood_of_many_is_slowed_before_a_second_is_over() -> None:
    pace = AckPace()
    steady(pace, 20 * MOST_A_SECOND, 0.25, 100.0)
    assert pace.between() == EVERY


def test_it_is_prompt_again_when_there_are_few() -> None:
    pace = AckPace()
    now = steady(pace, 5 * MOST_A_SECOND, 3, 100.0)
    assert pace.between() == EVERY
    steady(pace, 20, 4, now)
    assert pace.between() == LEAST


def test_a_pause_makes_it_prompt_with_the_next_ack() -> None:
    pace = AckPace()
    now = steady(pace, 5 * MOST_A_SECOND, 3, 100.0)
    pace.told(now + 10)
    assert pace.between() == LEAST
