"""Opening a store: a new one, an older one, and what is none of ours."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from iotxmpp.controller.store import SCHEMA, Database, Store
from iotxmpp.controller.store.database import PAGE
from iotxmpp.controller.store.schema import tables
from iotxmpp.errors import ConfigError, StoreError
from tests.store.samples import arrival, take

VERSION_1 = """
CREATE TABLE iotxmpp_meta (key VARCHAR(64) NOT NULL, value VARCHAR(256) NOT NULL, PRIMARY KEY (key));
CREATE TABLE iotxmpp_rejections (
    id {serial} NOT NULL, time FLOAT NOT NULL, device VARCHAR(64) NOT NULL, node TEXT NOT NULL,
    item TEXT NOT NULL, publisher TEXT, code VARCHAR(32) NOT NULL, error TEXT NOT NULL,
    payload TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_iotxmpp_rejections_device ON iotxmpp_rejections (device);
CREATE INDEX ix_iotxmpp_rejections_time ON iotxmpp_rejections (time);
INSERT INTO iotxmpp_meta VALUES ('schema', '1');
INSERT INTO iotxmpp_rejections (time, device, node, item, code, error, payload)
    VALUES (1000.5, 'hall', 'iot/hall/readings', 'e1.1', 'range', 'too hot', '[]');
"""


IN_THE_WAY = "CREATE INDEX iotxmpp_readings_by_time ON iotxmpp_rejections (time)"


def run(url: str, statements: Sequence[str]) -> None:
    database = Database(url)
    with database.write() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    database.close()


def statements(url: str) -> list[str]:
    serial = "SERIAL" if url.startswith("postgresql") else "INTEGER"
    return [each for each in VERSION_1.format(serial=serial).split(";") if each.strip()]


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    database = Database(url)
    with database.read() as connection:
        names = sa.inspect(connection).get_table_names()
        found = {
            name: [tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}"))]  # noqa: S608  # our own names
            for name in sorted(names)
        }
    database.close()
    return found


def test_a_new_file_has_small_pages_and_an_older_one_keeps_its_own(tmp_path: Path) -> None:
    def kept(name: str) -> tuple[object, ...]:
        store = Store(f"sqlite:///{tmp_path / name}")
        take(store, arrival(1, 2))
        with store.database.read() as connection:
            found = [connection.scalar(sa.text(f"PRAGMA {each}")) for each in ("page_size", "journal_mode")]
        store.close()
        return tuple(found)

    old = sqlite3.connect(tmp_path / "old.db")
    old.execute("PRAGMA journal_mode=WAL")
    old.executescript(";".join(statements("sqlite://")))
    old.close()
    assert [kept(name) for name in ("new.db", "new.db", "old.db")] == [(PAGE, "wal")] * 2 + [(4096, "wal")]


def test_a_new_store_has_every_table_and_opens_again(store_url: str) -> None:
    for _ in range(2):
        Store(store_url).close()
    found = contents(store_url)
    assert set(found) == set(tables.tables)
    assert found["iotxmpp_meta"] == [("schema", str(SCHEMA))]


def test_version_1_is_brought_up_to_date_with_all_it_holds(store_url: str) -> None:
    run(store_url, statements(store_url))
    store = Store(store_url)
    (kept,) = store.rejections()
    assert (kept.device, kept.item, kept.code, kept.time) == ("hall", "e1.1", "range", 1000.5)
    assert take(store, arrival(1, rejected=(2,)))[0].upto == 2
    assert store.count() == 2
    store.close()
    found = contents(store_url)
    assert set(found) == set(tables.tables)
    assert ("schema", str(SCHEMA)) in found["iotxmpp_meta"]


NEW_IN_3 = ("iotxmpp_commands", "iotxmpp_twin_desired", "iotxmpp_twin_changes", "iotxmpp_twin_reported")


def test_version_2_gets_what_it_lacks_and_keeps_what_it_holds(store_url: str) -> None:
    store = Store(store_url)
    take(store, arrival(1, 2, 3))
    store.close()
    back = [f"DROP TABLE {name}" for name in NEW_IN_3]
    run(store_url, [*back, "UPDATE iotxmpp_meta SET value = '2' WHERE key = 'schema'"])
    before = contents(store_url)
    store = Store(store_url)
    assert take(store, arrival(4))[0].upto == 4
    store.close()
    found = contents(store_url)
    assert set(found) == set(tables.tables) == {*before, *NEW_IN_3}
    assert ("schema", "3") in found["iotxmpp_meta"]
    assert [row[1] for row in found["iotxmpp_readings"]] == [1, 2, 3, 4]


def test_a_migration_that_fails_changes_nothing(store_url: str) -> None:
    run(store_url, [*statements(store_url), IN_THE_WAY])
    before = contents(store_url)
    with pytest.raises(StoreError, match="iotxmpp_readings_by_time"):
        Store(store_url)
    assert contents(store_url) == before
    run(store_url, ["DROP INDEX iotxmpp_readings_by_time"])
    store = Store(store_url)
    assert store.count() == 1
    store.close()


@pytest.mark.parametrize("version", ["0", "4", "99", "2.5", "", "two"])
def test_any_other_version_is_refused_and_left_alone(store_url: str, version: str) -> None:
    Store(store_url).close()
    run(store_url, [f"UPDATE iotxmpp_meta SET value = '{version}' WHERE key = 'schema'"])  # noqa: S608  # a table's entry
    before = contents(store_url)
    with pytest.raises(
        ConfigError, match=f"its version is {version}, this program reads 1 to 3; nothing was"
    ):
        Store(store_url)
    assert contents(store_url) == before


def test_another_programs_database_is_refused_and_left_alone(store_url: str) -> None:
    path = Path(store_url.removeprefix("sqlite:///"))
    if store_url.startswith("sqlite"):
        path.parent.mkdir()
    run(store_url, ["CREATE TABLE photos (name TEXT)"])
    with pytest.raises(ConfigError, match="other tables"):
        Store(store_url)
    assert contents(store_url) == {"photos": []}


def test_several_may_open_a_new_store_at_once(store_url: str) -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        stores = list(pool.map(lambda _: Store(store_url), range(4)))
    for store in stores:
        take(store, arrival(1))
        store.close()
    assert len(contents(store_url)["iotxmpp_readings"]) == 1


def test_a_refused_file_is_not_touched_at_all(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    Store(f"sqlite:///{path}").close()
    database = sqlite3.connect(path)
    database.execute("UPDATE iotxmpp_meta SET value = '99' WHERE key = 'schema'")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError):
        Store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    path.write_text("shopping list, rather long, so that it cannot be the start of a database " * 20)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "store"),
        ("nosuchdb://me:hidden@there/x", "store"),
        ("mysql://me:hidden@there/x", "sqlite or postgresql"),
        ("postgresql+psycopg2://me:hidden@there/x", "use postgresql://"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Store(url)
    assert "hidden" not in str(caught.value)


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(StoreError, match="store postgresql://me:") as caught:
        Store("postgresql://me:hidden@127.0.0.1:1/x")
    assert "hidden" not in str(caught.value)


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/x"):
        Store(f"sqlite:///{tmp_path}/file/x/controller.db")
