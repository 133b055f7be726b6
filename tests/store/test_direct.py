"""The connection that the transactions of readings keep: what breaks it, and that it is there again."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from iotxmpp.controller.store import BadRowError, Store
from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.schema import meta
from iotxmpp.errors import StoreError
from tests.store.samples import arrival, numbers, take

_INSERT = "INSERT INTO iotxmpp_meta (key, value) VALUES (?, ?)"


def twice(direct: Direct) -> None:
    direct.execute_many(_INSERT, [("one", "1"), ("two", "2"), ("one", "3")])


def nothing(direct: Direct) -> None:
    direct.execute(_INSERT, ("one", None))


def twice_by_alchemy(direct: Direct) -> None:
    direct.connection.execute(sa.insert(meta), [{"key": "one", "value": "1"}] * 2)


def unknown(direct: Direct) -> None:
    direct.execute("SELECT nonsense")


def unknown_by_alchemy(direct: Direct) -> None:
    direct.connection.execute(sa.text("SELECT nonsense"))


def interrupted(direct: Direct) -> None:
    direct.connection.execute(sa.insert(meta), {"key": "three", "value": "3"})
    direct.execute(_INSERT, ("four", "4"))
    raise ZeroDivisionError


def keys(store: Store) -> set[str]:
    with store.database.read() as connection:
        return {
            key for key in connection.execute(sa.select(meta.c.key)).scalars() if not key.startswith("batch")
        }


def test_a_transaction_is_all_or_nothing_whoever_executes(store: Store) -> None:
    with store.database.write_often() as direct:
        direct.execute(_INSERT, ("one", "1"))
        direct.connection.execute(sa.insert(meta), {"key": "two", "value": "2"})
        assert keys(store) == {"schema"}, "another connection sees nothing of it yet"
        assert direct.rows("SELECT value FROM iotxmpp_meta WHERE key = ?", ("two",)) == [("2",)]
    assert keys(store) == {"schema", "one", "two"}
    with pytest.raises(ZeroDivisionError), store.database.write_often() as direct:
        interrupted(direct)
    assert keys(store) == {"schema", "one", "two"}


@pytest.mark.parametrize("bad", [twice, nothing, twice_by_alchemy])
def test_values_that_the_database_refuses_are_told_apart(store: Store, bad: Callable[[Direct], None]) -> None:
    take(store, arrival(1))
    with pytest.raises(BadRowError, match=r"^store .*: \S"), store.database.write_often() as direct:
        bad(direct)
    assert keys(store) == {"schema"}
    assert take(store, arrival(2))[0].upto == 2


@pytest.mark.parametrize("bad", [unknown, unknown_by_alchemy])
def test_any_other_error_of_the_database_is_a_store_error(
    store: Store, bad: Callable[[Direct], None]
) -> None:
    take(store, arrival(1))
    with pytest.raises(StoreError, match="nonsense") as caught, store.database.write_often() as direct:
        bad(direct)
    assert not isinstance(caught.value, BadRowError)
    assert take(store, arrival(2))[0].upto == 2


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_connection_that_broke_while_nobody_used_it_is_replaced_unnoticed(store: Store) -> None:
    take(store, arrival(1))
    first = _session(store)
    assert _session(store) == first, "it is kept"
    _end(store, first)
    take(store, arrival(2))
    assert _session(store) != first
    assert numbers(store) == [1, 2]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_in_a_transaction_is_an_error_once(store: Store) -> None:
    take(store, arrival(1))

    def ended(direct: Direct) -> None:
        _end(store, direct.rows("SELECT pg_backend_pid()", ())[0][0])
        twice(direct)

    with pytest.raises(StoreError) as caught, store.database.write_often() as direct:
        ended(direct)
    assert not isinstance(caught.value, BadRowError)
    assert take(store, arrival(2))[0].upto == 2


def test_a_lock_that_is_not_given_in_time_is_a_store_error(store: Store, store_url: str) -> None:
    other = Store(store_url)
    take(store, arrival(1))
    take(other, arrival(2))
    with store.database.write_often() as direct:
        direct.execute("PRAGMA busy_timeout = 50" if direct.sqlite else "SET lock_timeout = 50")
    with other.database.write_often() as direct:
        direct.execute("UPDATE iotxmpp_epochs SET version = version")
        with pytest.raises(StoreError, match="lock"):
            take(store, arrival(3))
    assert take(store, arrival(3))[0].upto == 3
    other.close()


def test_a_store_in_memory_outlives_an_error() -> None:
    store = Store("sqlite://")
    take(store, arrival(1))
    with pytest.raises(BadRowError), store.database.write_often() as direct:
        twice(direct)
    take(store, arrival(2))
    assert numbers(store) == [1, 2]
    store.close()


def test_closing_lets_go_of_every_connection(store: Store) -> None:
    take(store, arrival(1))
    store.close()
    store.close()
    assert store.database._engine.pool.status().endswith("Current Checked out connections: 0")


def _session(store: Store) -> int:
    with store.database.write_often() as direct:
        return int(direct.rows("SELECT pg_backend_pid()", ())[0][0])


def _end(store: Store, session: int) -> None:
    with store.database.read() as connection:
        assert connection.execute(sa.select(sa.func.pg_terminate_backend(session))).scalar_one()
