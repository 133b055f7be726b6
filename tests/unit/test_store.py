"""Rejections on disk."""

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from iotxmpp.controller.rejection import MAX_PAYLOAD, Origin, Rejection
from iotxmpp.controller.store import Store, default_store_url
from iotxmpp.errors import ConfigError, StoreError


def rejection(device: str = "hall", *, time: float = 1000.0, error: str = "too hot") -> Rejection:
    made = Origin(device=device, node="iot/hall/readings", item="e1.1", publisher="hall@localhost").rejection(
        "range", error, '{"n":"temperature"}'
    )
    return replace(made, time=time)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "controller.db"


def test_what_is_kept_is_there_after_reopening(path: Path) -> None:
    store = Store(f"sqlite:///{path}")
    store.keep_rejections([rejection(error="first"), rejection(error="second")])
    store.close()
    store = Store(f"sqlite:///{path}")
    assert store.rejections() == [rejection(error="first"), rejection(error="second")]
    assert store.count() == 2
    store.close()


def test_it_is_private_and_survives_a_power_cut(path: Path) -> None:
    store = Store(f"sqlite:///{path}")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    store.close()


def test_rejections_are_chosen_by_device_time_and_number() -> None:
    store = Store("sqlite://")
    store.keep_rejections([rejection("hall", time=n) for n in range(5)])
    store.keep_rejections([rejection("cellar", time=10)])
    assert [each.time for each in store.rejections("hall", limit=2)] == [3, 4]
    assert [each.time for each in store.rejections(since=4)] == [4, 10]
    assert (store.count(), store.count("hall"), store.count("hall", since=3)) == (6, 5, 2)
    store.close()


def test_nothing_to_keep_is_no_error() -> None:
    store = Store("sqlite://")
    store.keep_rejections([])
    assert store.count() == 0
    store.close()


def test_hostile_text_is_kept_readable() -> None:
    store = Store("sqlite://")
    given = Origin(device="hall", node="n").rejection(
        "form", "a\x00b\ud800c\nd", "p\x00\ud800" + "ü" * MAX_PAYLOAD
    )
    store.keep_rejections([given])
    (found,) = store.rejections()
    assert found.error == r"a\x00b\ud800c\nd"
    assert found.payload.startswith(r"p\x00\ud800üü")
    assert found.payload.endswith("… (cut)")
    assert MAX_PAYLOAD - 2 <= len(found.payload.encode()) <= MAX_PAYLOAD
    store.close()


def test_another_version_is_refused_and_left_alone(path: Path) -> None:
    Store(f"sqlite:///{path}").close()
    database = sqlite3.connect(path)
    database.execute("UPDATE iotxmpp_meta SET value = '99' WHERE key = 'schema'")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="its version is 99, this program reads 1; nothing was changed"):
        Store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE photos (name TEXT)")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="other tables"):
        Store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("shopping list, rather long, so that it cannot be the start of a database " * 20)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{path}")


@pytest.mark.parametrize("url", ["nonsense", "nosuchdb://me:hidden@there/x"])
def test_a_wrong_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="store") as caught:
        Store(url)
    assert "hidden" not in str(caught.value)


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/x"):
        Store(f"sqlite:///{tmp_path}/file/x/controller.db")


def test_a_vanished_table_is_a_store_error(path: Path) -> None:
    store = Store(f"sqlite:///{path}")
    database = sqlite3.connect(path)
    database.execute("DROP TABLE iotxmpp_rejections")
    database.close()
    with pytest.raises(StoreError, match="no such table"):
        store.keep_rejections([rejection()])
    with pytest.raises(StoreError, match="no such table"):
        store.count()
    store.close()


def test_two_can_use_it_at_once(path: Path) -> None:
    one, other = Store(f"sqlite:///{path}"), Store(f"sqlite:///{path}")
    one.keep_rejections([rejection()])
    other.keep_rejections([rejection()])
    assert (one.count(), other.count()) == (2, 2)
    one.close()
    other.close()


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
