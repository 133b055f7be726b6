"""The twins in a store of each kind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotxmpp.controller.store import Store
from iotxmpp.controller.store import twin as twin_rows
from iotxmpp.controller.store.twin import TwinRows, Wanted
from iotxmpp.errors import InvalidError
from iotxmpp.twin import Desired, Reported, merged
from tests.store.samples import NOW


@pytest.fixture
def rows(store: Store) -> TwinRows:
    return TwinRows(store.database)


def desire(
    rows: TwinRows, changes: dict[str, object], device: str = "hall", **more: frozenset[str]
) -> Wanted:
    return rows.desire(device, changes, by="ann@example.org", now=NOW, **more)


def test_nothing_is_desired_at_first(rows: TwinRows) -> None:
    assert rows.wanted("hall") == Wanted()
    assert rows.reported("hall") is None


def test_each_change_makes_a_version_of_one_lineage(rows: TwinRows) -> None:
    first = desire(rows, {"every/temperature": 5, "name": "hall"})
    second = desire(rows, {"name": None, "light": {"on": True}})
    assert (first.version, second.version) == (1, 2)
    assert first.lineage == second.lineage != ""
    assert second.settings == {"every/temperature": 5, "light": {"on": True}}
    assert rows.wanted("hall") == second
    assert desire(rows, {"a": 1}, device="attic").lineage != first.lineage


def test_what_changes_nothing_makes_no_version(rows: TwinRows) -> None:
    assert desire(rows, {"gone": None}) == Wanted()
    first = desire(rows, {"a": 1})
    assert desire(rows, {"a": 1, "gone": None}) == first
    assert desire(rows, {"a": True}).version == 2


def test_a_refused_setting_is_desired_again(rows: TwinRows) -> None:
    desire(rows, {"a": 1, "b": 2})
    again = desire(rows, {"a": 1, "b": 2}, again=frozenset({"a"}))
    assert again.version == 2
    assert rows.since("hall", again.lineage, 1) == Desired(
        lineage=again.lineage,
        version=2,
        base=1,
        changes={"a": 1},
        digest=again.digest,
        by="ann@example.org",
    )


def test_the_difference_from_any_version(rows: TwinRows) -> None:
    desire(rows, {"a": 1, "b": 2})
    desire(rows, {"b": 3})
    lineage = desire(rows, {"a": None, "c": 4}).lineage

    def since(base: int, of: str = lineage) -> tuple[int, object]:
        found = rows.since("hall", of, base)
        assert (found.lineage, found.version) == (lineage, 3)
        return found.base, found.changes

    assert since(3) == (3, {})
    assert since(2) == (2, {"a": None, "c": 4})
    assert since(1) == (1, {"a": None, "b": 3, "c": 4})
    everything = (0, {"b": 3, "c": 4})
    assert since(0) == since(4) == since(-1) == since(2, "another") == everything


@settings(max_examples=25)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 2), min_size=1, max_size=2),
        min_size=1,
        max_size=8,
    )
)
def test_from_every_version_the_difference_leads_to_the_newest(changes: list[dict[str, object]]) -> None:
    store = Store("sqlite://")
    rows = TwinRows(store.database)
    versions = {0: Wanted()}
    for each in changes:
        wanted = desire(rows, each)
        versions[wanted.version] = wanted
    newest = rows.wanted("hall")
    assert newest.version == max(versions)
    for version, wanted in versions.items():
        told = rows.since("hall", newest.lineage, version)
        assert merged(wanted.settings if told.base else {}, told.changes) == newest.settings
    store.close()


def test_a_lineage_with_too_many_names_ends(rows: TwinRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin_rows, "MOST_CHANGES", 3)
    first = desire(rows, {"a": 1, "b": 1})
    assert desire(rows, {"a": None, "c": 1}).lineage == first.lineage
    newest = desire(rows, {"d": 1})
    assert newest.lineage != first.lineage
    assert (newest.version, newest.settings) == (3, {"b": 1, "c": 1, "d": 1})
    for lineage in (first.lineage, newest.lineage):
        assert rows.since("hall", lineage, 2).changes == newest.settings or lineage == newest.lineage
    after = desire(rows, {"b": None})
    assert after.lineage == newest.lineage
    assert rows.since("hall", after.lineage, 3).changes == {"b": None}


def test_settings_that_become_too_many_are_refused_and_nothing_changes(rows: TwinRows) -> None:
    first = desire(rows, {f"a{n}": n for n in range(200)})
    with pytest.raises(InvalidError, match="201 settings, at most 200"):
        desire(rows, {"b": 1})
    assert rows.wanted("hall") == first


def test_a_restored_store_begins_a_new_lineage(rows: TwinRows) -> None:
    first = desire(rows, {"a": 1})
    assert rows.renew("hall", first.lineage, 1, now=NOW) == first
    assert rows.renew("hall", "another", 9, now=NOW) == first
    renewed = rows.renew("hall", first.lineage, 9, now=NOW)
    assert renewed.lineage != first.lineage
    assert (renewed.version, renewed.settings) == (1, {"a": 1})
    assert rows.wanted("hall") == renewed
    assert rows.since("hall", first.lineage, 1) == Desired(
        lineage=renewed.lineage,
        version=1,
        base=0,
        changes={"a": 1},
        digest=first.digest,
        by="ann@example.org",
    )


def test_a_version_with_other_contents_ends_its_lineage(rows: TwinRows) -> None:
    first = desire(rows, {"a": 1})
    assert rows.renew("hall", first.lineage, 1, now=NOW, digest=first.digest) == first
    renewed = rows.renew("hall", first.lineage, 1, now=NOW, digest="0" * 64)
    assert renewed.lineage != first.lineage
    second = desire(rows, {"a": 2})
    assert rows.renew("hall", second.lineage, 1, now=NOW, digest="0" * 64) == second


def test_what_was_reported_last_is_kept(rows: TwinRows) -> None:
    for version in (1, 2):
        reported = Reported(
            lineage="a1", desired=version, version=version, settings={"a": version}, refused={"b": "no"}
        )
        rows.report("hall", reported, now=NOW)
        assert rows.reported("hall") == reported


def test_it_is_there_after_a_restart(store_url: str) -> None:
    store = Store(store_url)
    wanted = desire(TwinRows(store.database), {"a": 1})
    TwinRows(store.database).report("hall", Reported(desired=1), now=NOW)
    store.close()
    store = Store(store_url)
    assert TwinRows(store.database).wanted("hall") == wanted
    assert TwinRows(store.database).reported("hall") == Reported(desired=1)
    store.close()
