"""Rejections on disk."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from iotxmpp.controller.rejection import MAX_PAYLOAD, Origin, Rejection
from iotxmpp.controller.store import Batch, Store, default_store_url
from iotxmpp.errors import StoreError
from tests.store.samples import rejection as made


def rejection(device: str = "hall", *, time: float = 1000.0, error: str = "too hot") -> Rejection:
    return replace(made(device, error=error), time=time)


def keep(store: Store, *rejections: Rejection) -> None:
    store.take(Batch(records=rejections))


def test_what_is_kept_is_there_after_reopening(store: Store, store_url: str) -> None:
    keep(store, rejection(error="first"), rejection(error="second"))
    other = Store(store_url)
    assert other.rejections() == [rejection(error="first"), rejection(error="second")]
    assert other.count() == 2
    other.close()


def test_rejections_are_chosen_by_device_time_and_number(store: Store) -> None:
    keep(store, *(rejection("hall", time=n) for n in range(5)))
    keep(store, rejection("cellar", time=10))
    assert [each.time for each in store.rejections("hall", limit=2)] == [3, 4]
    assert [each.time for each in store.rejections(since=4)] == [4, 10]
    assert (store.count(), store.count("hall"), store.count("hall", since=3)) == (6, 5, 2)


def test_hostile_text_is_kept_readable(store: Store) -> None:
    given = Origin(device="hall", node="n").rejection(
        "form", "a\x00b\ud800c\nd", "p\x00\ud800" + "ü" * MAX_PAYLOAD
    )
    keep(store, given)
    (found,) = store.rejections()
    assert found.error == r"a\x00b\ud800c\nd"
    assert found.payload.startswith(r"p\x00\ud800üü")
    assert found.payload.endswith("… (cut)")
    assert MAX_PAYLOAD - 2 <= len(found.payload.encode()) <= MAX_PAYLOAD


def test_a_vanished_table_is_a_store_error(store: Store) -> None:
    with store.database.write() as connection:
        connection.execute(sa.text("DROP TABLE iotxmpp_rejections"))
    with pytest.raises(StoreError, match="iotxmpp_rejections"):
        keep(store, rejection())
    with pytest.raises(StoreError, match="iotxmpp_rejections"):
        store.count()


def test_two_can_use_it_at_once(store: Store, store_url: str) -> None:
    other = Store(store_url)
    keep(store, rejection())
    keep(other, rejection())
    assert (store.count(), other.count()) == (2, 2)
    other.close()


def test_a_file_is_private_and_survives_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "state" / "controller.db"
    store = Store(f"sqlite:///{path}")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with store.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    store.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_commits_to_its_disk_whatever_its_default_is(store: Store) -> None:
    with store.database.read() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IOTXMPP_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    jid = "house@example.org/phone"
    in_home = f"sqlite:///{tmp_path}/.local/state/iotxmpp/house@example.org/controller.db"
    assert default_store_url(jid) == in_home
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert default_store_url(jid) == f"sqlite:///{tmp_path}/xdg/iotxmpp/house@example.org/controller.db"
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "own"))
    assert default_store_url(jid) == f"sqlite:///{tmp_path}/own/controller.db"
