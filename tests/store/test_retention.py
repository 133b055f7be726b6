"""Retention: what goes, what stays, and each summary once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, NoReturn

import pytest

from iotxmpp.controller.store import Batch, Event, History, Retention, StateChange, Store, Summary, sweep
from iotxmpp.controller.store import downsampling as downsampling_module
from iotxmpp.errors import InvalidError
from tests.store.samples import NOW, arrival, lost, numbers, reading, rejection, take
from tests.store.tidying import DAY, START, counted, fill


def tidy(store: Store, retention: Retention, now: float, most: int = 2000) -> list[tuple[str, int]]:
    chunks = sweep(store.database, retention, now=now, most=most)
    return [(chunk.table, chunk.rows) for chunk in chunks if chunk.rows]


def summed(store: Store, seconds: int) -> list[tuple[Any, ...]]:
    return [
        (each.time - START, each.count, each.least, each.mean, each.greatest)
        for each in History(store.database).entries("hall")
        if isinstance(each, Summary) and each.seconds == seconds
    ]


def test_old_numbers_become_summaries_of_a_minute(store: Store) -> None:
    fill(store, *map(float, range(180)))
    assert tidy(store, Retention(raw="1d", minutes="9d"), START + DAY + 120) == [("readings", 120)]
    assert summed(store, 60) == [(0, 60, 0, pytest.approx(29.5), 59), (60, 60, 60, pytest.approx(89.5), 119)]
    assert numbers(store) == list(range(121, 181))


def test_only_whole_minutes_go(store: Store) -> None:
    fill(store, *map(float, range(180)))
    assert tidy(store, Retention(raw="1d", minutes="9d"), START + DAY + 119) == [("readings", 60)]


def test_chunks_are_small_and_join_their_summaries(store: Store) -> None:
    fill(store, *map(float, range(100)))
    assert tidy(store, Retention(raw="1d", hours="9d"), START + 3 * DAY, most=7) == [
        *[("readings", 7)] * 14,
        ("readings", 1),
    ]
    assert summed(store, 3600) == [(0, 99, 0, pytest.approx(49), 98)]
    assert numbers(store) == [100], "the newest live reading stays"
    assert tidy(store, Retention(raw="1d", hours="9d"), START + 3 * DAY) == []


def test_minutes_become_hours_and_hours_go(store: Store) -> None:
    fill(store, *map(float, range(180)), every=60)
    keep = Retention(raw="1d", minutes="3d", hours="30d")
    tidy(store, keep, START + 2 * DAY)
    assert len(summed(store, 60)) == 179
    tidy(store, keep, START + 4 * DAY, most=50)
    assert summed(store, 60) == []
    assert summed(store, 3600) == [
        (0, 60, 0, pytest.approx(29.5), 59),
        (3600, 60, 60, pytest.approx(89.5), 119),
        (7200, 59, 120, pytest.approx(149), 178),
    ]
    tidy(store, keep, START + 30 * DAY + 2 * 3600 - 1)
    assert [row[0] for row in summed(store, 3600)] == [3600, 7200]
    tidy(store, keep, START + 99 * DAY)
    assert summed(store, 3600) == []
    assert numbers(store) == [180]


def test_without_summaries_old_readings_only_go(store: Store) -> None:
    fill(store, 1.0, 2.0, 3.0)
    assert tidy(store, Retention(raw="1h"), START + DAY) == [("readings", 2)]
    assert summed(store, 60) == summed(store, 3600) == []


def test_summaries_that_a_retention_does_not_name_stay(store: Store) -> None:
    fill(store, 1.0, 2.0)
    tidy(store, Retention(raw="1h", minutes="9d"), START + DAY)
    assert tidy(store, Retention(raw="1h"), START + 99 * DAY) == []
    assert len(summed(store, 60)) == 1


def test_every_kind_of_value(store: Store) -> None:
    fill(store, True, False, "text", 2**53 + 1, 7, 0.5)
    tidy(store, Retention(raw="1h", minutes="9d"), START + DAY)
    assert summed(store, 60) == [(0, 4, 0, pytest.approx((2**53 + 8) / 4), 2**53)]
    assert numbers(store) == [6]


def test_the_greatest_numbers_have_a_mean(store: Store) -> None:
    fill(store, 1.7e308, 1.7e308, 1.7e308, 1.7e308)
    tidy(store, Retention(raw="1h", minutes="9d"), START + DAY, most=2)
    assert summed(store, 60) == [(0, 3, 1.7e308, pytest.approx(1.7e308), 1.7e308)]


def test_what_came_late_is_kept_as_long_and_joins_the_summary_that_is_there(store: Store) -> None:
    fill(store, 1.0, 3.0, 9.0)
    keep = Retention(raw="1d", minutes="99d")
    tidy(store, keep, START + 2 * DAY)
    late = replace(reading(4, value=8.0), time=START + 1.5, historical=True)
    take(store, replace(arrival(4), readings=(late,), received=START + 5 * DAY))
    assert tidy(store, keep, START + 5.5 * DAY) == []
    assert tidy(store, keep, START + 7 * DAY) == [("readings", 1)]
    assert summed(store, 60) == [(0, 3, 1, pytest.approx(4), 8)]


def test_exactly_once_holds_for_what_is_gone(store: Store, store_url: str) -> None:
    fill(store, *map(float, range(50)))
    take(store, replace(arrival(60, 61), readings=(reading(60), reading(61))))
    tidy(store, Retention(raw="1h", records="1h"), NOW + DAY)
    for each in (store, Store(store_url)):
        (again,) = take(each, arrival(*range(1, 51), 60, 61))
        assert (again.duplicates, again.readings, again.upto) == (52, (), 50)
        if each is not store:
            each.close()
    assert store.upto("hall") == {"e1": 50}
    assert store.latest("hall") == [replace(reading(61), received=NOW)]


def test_records_go_in_small_steps(store: Store) -> None:
    for number in range(25):
        at = START + number
        state = StateChange(device="hall", state="lost", why="silent", time=at)
        event = Event(device="hall", kind="clone", text="two", time=at)
        store.take(Batch(records=[state, event, replace(rejection(), time=at)]))
        take(store, replace(lost(2 * number + 1, 2 * number + 1), received=at))
    gone = tidy(store, Retention(records="1h"), START + 3620, most=8)
    kinds = ["states", "events", "rejections", "gaps"]
    assert gone == [(kind, rows) for kind in kinds for rows in (8, 8, 4)]
    entries = list(History(store.database).entries("hall", events=True))
    assert len(entries) == 15
    assert {each.time for each in entries} == {START + number for number in range(20, 25)}
    assert store.count() == 5
    (again,) = take(store, lost(1, 1))
    assert again.lost == 0, "a number that was lost is known for ever"


class KilledError(Exception):
    pass


@pytest.mark.parametrize("where", ["between", "within"])
def test_each_reading_is_in_one_summary_also_after_a_kill(
    store: Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, *map(float, range(100)))
    keep = Retention(raw="1d", minutes="9d")
    steps = sweep(store.database, keep, now=START + 3 * DAY, most=9)
    assert len(list(islice(steps, 3))) == 3
    if where == "within":
        with monkeypatch.context() as patched:
            patched.setattr(downsampling_module, "_add", _killed)
            with pytest.raises(KilledError):
                next(steps)
    assert counted(store) == 100, "nothing is gone that is in no summary, and nothing is in both"
    tidy(store, keep, START + 3 * DAY, most=9)
    assert [row[:2] for row in summed(store, 60)] == [(0, 60), (60, 39)]
    assert counted(store) == 100


def _killed(*_: object) -> NoReturn:
    raise KilledError


def test_two_sweeps_at_once_count_nothing_twice(store: Store, store_url: str) -> None:
    fill(store, *map(float, range(400)))
    keep = Retention(raw="1d", minutes="3d", hours="9d")
    others = [Store(store_url) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(tidy, other, keep, START + 4 * DAY, 11) for other in others]:
            done.result(30)
    for other in others:
        other.close()
    assert counted(store) == 400
    assert [row[1:3] for row in summed(store, 3600)] == [(399, 0)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"raw": "soon"}, "retention: raw 'soon': give a duration such as"),
        ({"raw": "-1d"}, "raw '-1d'"),
        ({"raw": "0d"}, "raw '0d'"),
        ({"raw": 0}, "raw 0"),
        ({"raw": float("nan")}, "raw nan"),
        ({"raw": "30d", "minutes": "30d"}, "minutes must be longer than raw"),
        ({"raw": "30d", "minutes": "60d", "hours": "45d"}, "hours must be longer than minutes"),
        ({"minutes": "60d"}, "minutes is given without raw"),
        ({"hours": "60d"}, "hours is given without raw"),
    ],
)
def test_a_wrong_retention_is_told(given: dict[str, str | float], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        Retention(**given)


def test_a_retention_in_seconds() -> None:
    assert tuple(Retention(raw="1.5h", minutes="2w", hours="1y").limits) == (5400, 14 * DAY, 365 * DAY, None)
    assert Retention(records=60)
    assert not Retention()
