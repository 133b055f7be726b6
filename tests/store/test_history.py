"""What the store tells of a device over time."""

import tracemalloc
from dataclasses import replace

import pytest

from iotxmpp.controller.store import (
    Batch,
    Event,
    History,
    Lost,
    Retention,
    StateChange,
    Store,
    Summary,
    sweep,
)
from iotxmpp.controller.store import history as history_module
from iotxmpp.errors import UnknownChannelError, UnknownDeviceError
from iotxmpp.readings import Reading
from tests.store.samples import NOW, arrival, lost, reading, take


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "ROWS", 30)


def test_readings_come_in_time_order_over_pages_epochs_and_channels(store: Store) -> None:
    door = [reading(seq, channel="door", value=True) for seq in range(40, 60)]
    take(
        store,
        arrival(*range(1, 40)),
        replace(arrival(*range(40, 60)), readings=tuple(door)),
        arrival(*range(1, 60, 2), epoch="e2"),
        arrival(1, 2, device="cellar"),
    )
    found = list(History(store.database).entries("hall"))
    assert len(found) == 39 + 20 + 30
    assert [each.time for each in found] == sorted(each.time for each in found)
    assert [each for each in found if isinstance(each, Reading) and each.channel == "door"] == door
    assert len(set(found)) == len(found)


def test_readings_of_one_moment_are_all_there_once(store: Store) -> None:
    same = [replace(reading(seq), time=NOW) for seq in range(1, 101)]
    take(store, replace(arrival(*range(1, 101)), readings=tuple(same)))
    assert list(History(store.database).entries("hall")) == same


def test_a_span_begins_with_since_and_ends_before_until(store: Store) -> None:
    take(store, arrival(*range(1, 10)))
    found = History(store.database).entries("hall", "temperature", since=NOW + 3, until=NOW + 6)
    assert [each.seq for each in found if isinstance(each, Reading)] == [3, 4, 5]
    assert list(History(store.database).entries("hall", since=NOW + 10)) == []


def test_late_readings_stand_in_their_place_and_say_so(store: Store) -> None:
    late = replace(reading(3), time=NOW + 1.5, historical=True)
    take(store, arrival(1, 2), replace(arrival(3), readings=(late,)))
    found = [each for each in History(store.database).entries("hall") if isinstance(each, Reading)]
    assert [(each.seq, each.historical) for each in found] == [(1, False), (3, True), (2, False)]


def test_a_channel_that_changed_its_unit_is_one_channel(store: Store) -> None:
    take(store, arrival(1), replace(arrival(2), readings=(replace(reading(2), unit="K"),)))
    history = History(store.database)
    assert history.channels("hall") == ["temperature"]
    units = [each.unit for each in history.entries("hall", "temperature") if isinstance(each, Reading)]
    assert units == ["Cel", "K"]


def test_gaps_states_and_events_come_when_asked_for(store: Store) -> None:
    take(store, arrival(1, 2, 5), replace(lost(3, 4), received=NOW + 1.5))
    state = StateChange(device="hall", state="lost", why="silent", time=NOW + 3)
    event = Event(device="hall", kind="clone", text="two of them", time=NOW + 1.7)
    other = StateChange(device="cellar", state="online", why="it came", time=NOW + 3)
    store.take(Batch(records=[state, event, other]))
    history = History(store.database)
    gap = Lost(epoch="e1", first=3, last=4, reason="full", time=NOW + 1.5)
    live = [replace(reading(seq), received=NOW) for seq in (1, 2, 5)]
    assert list(history.entries("hall")) == live
    assert list(history.entries("hall", events=True)) == [live[0], gap, event, live[1], state, live[2]]
    assert list(history.entries("hall", events=True, since=NOW + 1.6, until=NOW + 2)) == [event]
    assert list(history.entries("cellar", events=True)) == [other]


def test_many_events_come_over_pages(store: Store) -> None:
    states = [StateChange(device="hall", state="lost", why=str(n), time=NOW + n // 10) for n in range(100)]
    store.take(Batch(records=states))
    take(store, *(replace(lost(2 * n, 2 * n), received=NOW) for n in range(1, 101)))
    found = list(History(store.database).entries("hall", events=True))
    assert [each for each in found if isinstance(each, StateChange)] == states
    assert [each.first for each in found if isinstance(each, Lost)] == [2 * n for n in range(1, 101)]


def test_summaries_stand_where_readings_are_gone(store: Store) -> None:
    start = NOW // 60 * 60
    for first in (1, 101):
        given = [replace(reading(seq), time=start + seq) for seq in range(first, first + 100)]
        take(store, replace(arrival(*range(first, first + 100)), readings=tuple(given)))
    for _ in sweep(store.database, Retention(raw="1d", minutes="9d"), now=start + 86400 + 120):
        pass
    found = list(History(store.database).entries("hall"))
    sums = [each for each in found if isinstance(each, Summary)]
    assert [(each.time - start, each.seconds, each.count, each.unit) for each in sums] == [
        (0, 60, 59, "Cel"),
        (60, 60, 60, "Cel"),
    ]
    assert [each.time for each in found] == sorted(each.time for each in found)
    assert [each.seq for each in found if isinstance(each, Reading)] == list(range(120, 201))
    inside = list(History(store.database).entries("hall", since=start + 90, until=start + 121))
    assert [type(each) for each in inside] == [Summary, Reading]


def test_unknown_names_are_told_with_the_known_ones(store: Store) -> None:
    history = History(store.database)
    with pytest.raises(UnknownDeviceError, match="no device 'hall'; it knows: none"):
        history.entries("hall")
    take(store, arrival(1), *(arrival(1, device=f"d{n:02}") for n in range(25)))
    with pytest.raises(UnknownDeviceError, match=r"knows: d00, d01, .*, d19 and 6 more"):
        history.channels("nothing")
    with pytest.raises(UnknownChannelError, match="hall has no channel 'pressure'; it has: temperature"):
        history.entries("hall", "pressure")
    assert len(history.devices()) == 26


def test_it_reads_on_while_readings_come(store: Store, store_url: str) -> None:
    take(store, arrival(*range(1, 100)))
    other = Store(store_url)
    entries = History(other.database).entries("hall")
    first = [next(entries) for _ in range(5)]
    take(store, arrival(*range(100, 150)))
    rest = list(entries)
    other.close()
    assert [each.seq for each in [*first, *rest] if isinstance(each, Reading)] == list(range(1, 150))


def test_memory_does_not_grow_with_the_readings(store: Store) -> None:
    def peak() -> int:
        tracemalloc.start()
        try:
            count = sum(1 for _ in History(store.database).entries("hall"))
            return tracemalloc.get_traced_memory()[1] if count else 0
        finally:
            tracemalloc.stop()

    take(store, arrival(*range(1, 301)))
    peak()  # what is loaded and cached once
    small = peak()
    for first in range(301, 6001, 300):
        take(store, arrival(*range(first, first + 300)))
    assert peak() < small + 300_000, "20 times the readings"
