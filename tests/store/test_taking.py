"""Readings exactly once, whatever order, number of times and portions they come in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotxmpp.controller.columns import Columns, Place
from iotxmpp.controller.store import BadRowError, Batch, Event, StateChange, Store
from iotxmpp.controller.store.schema import events, gaps, islands, liveness, readings
from iotxmpp.errors import StoreError
from iotxmpp.readings import Value
from tests.store.samples import NOW, arrival, lost, numbers, reading, rejection, stored, take


def test_a_pack_is_taken_and_its_cursor_moved(store: Store) -> None:
    (taken,) = take(store, arrival(1, 2, 3))
    assert [each.seq for each in taken.readings] == [1, 2, 3]
    assert (taken.upto, taken.missing, taken.duplicates, taken.postponed) == (3, 0, 0, False)
    assert numbers(store) == [1, 2, 3]
    assert store.upto("hall") == {"e1": 3}
    assert store.upto("cellar") == {}


PLACES = (
    Place(channel="temperature", unit="Cel", kind="f"),
    Place(channel="count", unit=None, kind="i"),
    Place(channel="door", unit=None, kind="b"),
    Place(channel="note", unit=None, kind="s"),
)
HELD: tuple[Value, ...] = (21.5, 2**53, True, "shut")


def columns(count: int, places: int) -> Columns:
    """So many readings, of so many of the channels in turn."""
    times = [NOW + number for number in range(count)]
    return Columns(
        places=[PLACES[number % places] for number in range(count)],
        values=[HELD[number % places] for number in range(count)],
        times=times,
        earliest=min(times),
        latest=max(times),
        texts=places == len(PLACES),
        epoch="e1",
        first=1,
        clock="u",
        received=NOW,
        historical=True,
    )


@pytest.mark.parametrize("count", [24, 27, 117, 225, 486])
@pytest.mark.parametrize("places", [1, 3, 4])
def test_columns_are_kept_as_their_readings_are(store: Store, places: int, count: int) -> None:
    made = columns(count, places)
    taken = take(
        store,
        replace(arrival(1), numbers=((1, count),), readings=made),
        replace(arrival(1, device="cellar"), numbers=((1, count),), readings=tuple(made)),
    )
    assert [len(each.readings) for each in taken] == [count, count]
    rows = stored(store)
    assert [row[1:] for row in rows[:count]] == [row[1:] for row in rows[count:]]
    assert [(row[3], row[4], type(row[4])) for row in rows[:4]] == [
        (PLACES[number % places].channel, HELD[number % places], type(HELD[number % places]))
        for number in range(4)
    ]
    with store.database.read() as connection:
        query = sa.select(readings.c.historical, readings.c.clock, readings.c.time, readings.c.received)
        kept = connection.execute(query.order_by(readings.c.seq)).all()
    assert [tuple(row) for row in kept] == [
        (True, "u", NOW + number // 2, NOW) for number in range(2 * len(made))
    ]


def test_of_columns_what_is_there_already_is_left_out(store: Store) -> None:
    take(store, arrival(2, 3))
    (taken,) = take(store, replace(arrival(1), numbers=((1, 5),), readings=columns(5, 3)))
    assert ([each.seq for each in taken.readings], taken.duplicates, taken.upto) == ([1, 4, 5], 2, 5)
    assert numbers(store) == [1, 2, 3, 4, 5]


def test_what_comes_twice_is_kept_once(store: Store) -> None:
    take(store, arrival(1, 2))
    (again, more) = take(store, arrival(1, 2), arrival(2, 3))
    assert (again.readings, again.duplicates, again.upto) == ((), 2, 2)
    assert ([each.seq for each in more.readings], more.duplicates, more.upto) == ([3], 1, 3)
    assert numbers(store) == [1, 2, 3]


def test_twice_in_one_batch_is_kept_once(store: Store) -> None:
    first, second = take(store, arrival(1, 2), arrival(1, 2))
    assert (len(first.readings), len(second.readings), second.duplicates) == (2, 0, 2)


def test_live_before_the_backlog_then_the_backlog(store: Store) -> None:
    assert [each.upto for each in take(store, arrival(9), arrival(10, 11))] == [0, 0]
    (taken,) = take(store, arrival(1, 2, 3))
    assert (taken.upto, taken.missing) == (3, 5)
    (taken,) = take(store, arrival(4, 5, 6, 7, 8))
    assert (taken.upto, taken.missing) == (11, 0)
    assert numbers(store) == list(range(1, 12))
    with store.database.read() as connection:
        assert connection.execute(sa.select(islands)).all() == []


def test_thinned_readings_leave_holes_that_a_gap_record_fills(store: Store) -> None:
    (taken,) = take(store, arrival(1, 4, 7))
    assert (taken.upto, taken.missing) == (1, 4)
    take(store, lost(2, 3), lost(5, 6))
    assert store.upto("hall") == {"e1": 7}
    assert numbers(store) == [1, 4, 7]


def test_a_gap_record_counts_only_what_had_not_come(store: Store) -> None:
    take(store, arrival(1, 2, 5))
    (taken,) = take(store, lost(1, 8))
    assert (taken.lost, taken.duplicates, taken.upto) == (5, 0, 8)
    (again,) = take(store, lost(3, 9))
    assert (again.lost, again.upto) == (1, 9)
    (late,) = take(store, arrival(4))
    assert (late.readings, late.duplicates) == ((), 1)
    with store.database.read() as connection:
        rows = connection.execute(sa.select(gaps.c.first, gaps.c.last, gaps.c.reason).order_by(gaps.c.first))
        assert [tuple(row) for row in rows] == [(3, 4, "full"), (6, 8, "full"), (9, 9, "full")]
    assert numbers(store) == [1, 2, 5]


def test_epochs_and_devices_are_apart(store: Store) -> None:
    take(store, arrival(1, 2), arrival(1, epoch="e2"), arrival(1, 2, device="cellar"))
    assert store.upto("hall") == {"e1": 2, "e2": 1} or store.upto("hall") == {"e2": 1, "e1": 2}
    assert len(stored(store)) == 5


def test_a_restored_card_sends_what_it_held_and_then_a_new_epoch(store: Store) -> None:
    take(store, arrival(*range(1, 11)))
    again, new = take(store, arrival(*range(4, 9)), arrival(1, 2, epoch="e2"))
    assert (again.duplicates, again.upto, new.upto) == (5, 10, 2)
    assert len(stored(store)) == 12


def test_the_newest_epochs_come_first(store: Store) -> None:
    for number in range(5):
        take(store, replace(arrival(1, epoch=f"e{number}"), received=NOW + number))
    take(store, replace(arrival(2, epoch="e1"), received=NOW + 10))
    assert list(store.upto("hall", limit=3)) == ["e1", "e4", "e3"]


def test_a_rejected_reading_counts_as_come_and_is_kept_once(store: Store) -> None:
    (taken,) = take(store, arrival(1, 3, rejected=(2,)))
    assert (taken.upto, len(taken.readings), len(taken.rejections)) == (3, 2, 1)
    (again,) = take(store, arrival(1, 3, rejected=(2,)))
    assert (again.rejections, again.duplicates) == ((), 3)
    assert [each.item for each in store.rejections()] == ["e1.2"]


def test_too_many_holes_postpone_a_pack_whole(store: Store) -> None:
    take(store, *(arrival(2 * number) for number in range(1, 1001)))
    postponed, filled = take(store, arrival(3000, 3001, 3004), arrival(1))
    assert (postponed.postponed, postponed.readings, postponed.upto) == (True, (), 0)
    assert (filled.postponed, filled.upto) == (False, 2)
    assert 3000 not in numbers(store)
    (taken,) = take(store, arrival(3000, 3001))
    assert not taken.postponed


def test_many_devices_in_one_batch(store: Store) -> None:
    names = [f"d{number}" for number in range(1000)]
    taken = take(store, *(arrival(1, 2, device=name) for name in names))
    assert [each.upto for each in taken] == [2] * 1000
    assert len(stored(store)) == 2000
    taken = take(store, *(arrival(2, 3, device=name) for name in reversed(names)))
    assert {(each.upto, each.duplicates) for each in taken} == {(3, 1)}


VALUES: list[Value] = [1.5, -0.0, 1e308, 7, 2**53 + 1, -(2**63), True, False, "", "naïve ✓ '; --", "x" * 9999]


def test_every_kind_of_value_comes_back_as_it_was(store: Store) -> None:
    given = [reading(seq, value=value) for seq, value in enumerate(VALUES, 1)]
    take(store, replace(arrival(*range(1, len(VALUES) + 1)), readings=tuple(given)))
    found = [row[4] for row in stored(store)]
    assert [(type(value), value) for value in found] == [(type(value), value) for value in VALUES]


def test_after_reopening_the_cursors_are_where_they_were(store: Store, store_url: str) -> None:
    take(store, arrival(1, 2, 5, 6))
    other = Store(store_url)
    (taken,) = take(other, arrival(2, 3, 4, 5, 6, 7))
    assert ([each.seq for each in taken.readings], taken.upto) == ([3, 4, 7], 7)
    other.close()
    assert numbers(store) == [1, 2, 3, 4, 5, 6, 7]


def test_two_controllers_on_one_store_take_each_reading_once(store: Store, store_url: str) -> None:
    other = Store(store_url)
    take(store, arrival(1, 2))
    take(other, arrival(1, 2, 3))
    (taken,) = take(store, arrival(2, 3, 4))
    assert ([each.seq for each in taken.readings], taken.upto) == ([4], 4)
    (taken,) = take(other, arrival(4, 9))
    assert (taken.duplicates, taken.upto) == (1, 4)
    (taken,) = take(store, arrival(9, 5))
    assert ([each.seq for each in taken.readings], taken.upto) == ([5], 5)
    other.close()
    assert numbers(store) == [1, 2, 3, 4, 5, 9]


def test_the_newest_live_readings_are_recalled(store: Store) -> None:
    live = arrival(1, 2)
    late = replace(arrival(3), readings=(replace(reading(3), historical=True),))
    door = replace(arrival(4), readings=(reading(4, channel="door", value=True),))
    take(store, live, late, door)
    assert store.latest("hall") == [reading(2), reading(4, channel="door", value=True)]
    assert store.latest("cellar") == []


def test_what_was_noticed_is_kept(store: Store) -> None:
    event = Event(device="hall", kind="clone", text="two of them", time=NOW)
    change = StateChange(device="cellar", state="lost", why="silent", time=NOW)
    store.take(Batch(records=[event, rejection(), change]))
    with store.database.read() as connection:
        assert connection.execute(sa.select(events.c.kind, events.c.text)).one() == ("clone", "two of them")
        assert connection.execute(sa.select(liveness.c.state, liveness.c.why)).one() == ("lost", "silent")
    assert store.count() == 1


def test_an_empty_batch_is_no_error(store: Store) -> None:
    assert store.take(Batch()) == []


class BrokenError(Exception):
    pass


def test_a_batch_that_fails_changes_nothing_and_can_be_taken_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(store, arrival(1))
    taker = store._taker
    real = taker._cursors.keep

    def failing(*_: object) -> None:
        raise BrokenError

    monkeypatch.setattr(taker._cursors, "keep", failing)
    with pytest.raises(BrokenError):
        take(store, arrival(2, 3), arrival(1, epoch="e2"), arrival(1, device="cellar"))
    monkeypatch.setattr(taker._cursors, "keep", real)
    assert numbers(store) == [1]
    assert store.upto("hall") == {"e1": 1}
    assert [each.upto for each in take(store, arrival(2, 3), arrival(1, epoch="e2"))] == [3, 1]
    assert take(store, arrival(1, device="cellar"))[0].upto == 1


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_row_that_the_database_never_takes_is_told_apart(store: Store) -> None:
    bad = replace(arrival(1), readings=(reading(1, value="\0"),))
    with pytest.raises(BadRowError):
        take(store, bad)
    assert take(store, arrival(1))[0].upto == 1


def test_a_vanished_table_is_a_store_error(store: Store) -> None:
    with store.database.write() as connection:
        connection.execute(sa.text("DROP TABLE iotxmpp_readings"))
    with pytest.raises(StoreError):
        take(store, arrival(1))


@contextmanager
def fresh() -> Iterator[Store]:
    store = Store("sqlite://")
    try:
        yield store
    finally:
        store.close()


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[list[tuple[int, int]]]]:
    """How many readings there are, and portions of them, in batches, together at least all of them."""
    count = draw(st.integers(1, 40))
    runs = st.tuples(st.integers(1, count), st.integers(1, count)).map(lambda pair: (min(pair), max(pair)))
    cuts = sorted({0, count, *draw(st.lists(st.integers(0, count), max_size=8))})
    whole = [(a + 1, b) for a, b in pairwise(cuts)]
    portions = [*whole, *draw(st.lists(runs, max_size=12))]
    portions = draw(st.permutations(portions))
    batches: list[list[tuple[int, int]]] = [[]]
    for portion in portions:
        batches[-1].append(portion)
        if draw(st.booleans()):
            batches.append([])
    return count, batches


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deliveries(), st.booleans())
def test_any_order_any_portions_and_any_number_of_times_give_exactly_the_readings(
    delivered: tuple[int, list[list[tuple[int, int]]]], forget: bool
) -> None:
    count, batches = delivered
    new: list[int] = []
    with fresh() as store:
        for batch in batches:
            if forget:
                store._taker._cursors.forget()
            taken = take(store, *(arrival(*range(first, last + 1)) for first, last in batch))
            new += [each.seq for one in taken for each in one.readings]
        assert numbers(store) == list(range(1, count + 1))
        assert store.upto("hall") == {"e1": count}
    assert sorted(new) == list(range(1, count + 1)), "each is new exactly once"
