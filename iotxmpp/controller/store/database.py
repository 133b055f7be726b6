"""The database under the store: SQLite or PostgreSQL, its connections and its errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from iotxmpp.controller.store.direct import OWN_BEGIN, Direct
from iotxmpp.errors import ConfigError, StoreError

PATIENCE = 5
"""Seconds that a writer waits for another one."""

PAGE = 2048
"""Bytes of a page of a new SQLite file.

A transaction writes every page that it touches, five at least, and a steady device makes many of two readings
each: SQLite's usual 4096 give the disk 1.6 times as much, 1024 two thirds. But with 1024 the small packs of
many devices take a quarter more time, with this a tenth.
"""

_BEGIN = "iotxmpp_begin"
_POSTGRESQL = {
    "connect_timeout": "10",
    # Compiling a statement takes longer than any of ours.
    "options": "-c synchronous_commit=on -c jit=off"
    f" -c statement_timeout=60000 -c lock_timeout={PATIENCE * 2000}",
}


class BadRowError(StoreError):
    """The database does not take these very values; trying again is of no use."""


class Database:
    """Connections to one database; its calls block.

    Args:
        url: A SQLAlchemy URL of SQLite or PostgreSQL.

    Attributes:
        where: The URL without its password, for people.
        sqlite: Whether it is SQLite; PostgreSQL otherwise.

    Raises:
        ConfigError: The URL is wrong, or its driver is not installed.
        StoreError: A SQLite file cannot be made.
    """

    def __init__(self, url: str) -> None:
        self.where, self._engine = _engine(url)
        self.sqlite = self._engine.dialect.name == "sqlite"
        self._direct = Direct(self._engine)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes: all of it, or nothing.

        Raises:
            StoreError: It could not be done; nothing was changed.
        """
        with self._failing(), self._engine.connect() as connection:
            # Locked at once, so that two writers wait for each other instead of failing.
            connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                yield connection

    @contextmanager
    def write_often(self) -> Iterator[Direct]:
        """A transaction as `write`'s, for what is written all the time; one at a time.

        Raises:
            StoreError: It could not be done; nothing was changed.
        """
        with self._failing(), self._direct.transaction() as direct:
            yield direct

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads.

        Raises:
            StoreError: It could not be done.
        """
        with self._failing(), self._engine.connect() as connection:
            yield connection

    def set_up(self) -> None:
        """Sets what a new SQLite file remembers; not possible inside a transaction.

        Raises:
            StoreError: It could not be done.
        """
        if not self.sqlite:
            return
        with self._failing():
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute(f"PRAGMA page_size={PAGE}")  # not to be changed later
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            finally:
                raw.close()

    def close(self) -> None:
        """Closes all connections; calling it twice is harmless."""
        self._direct.close()
        self._engine.dispose()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        driver = self._engine.dialect.loaded_dbapi
        try:
            yield
        except (SQLAlchemyError, driver.Error) as error:
            bad = isinstance(error, (DataError, IntegrityError, driver.DataError, driver.IntegrityError))
            cause = str(getattr(error, "orig", None) or error).strip()
            raise (BadRowError if bad else StoreError)(f"store {self.where}: {cause}") from error


def _engine(url: str) -> tuple[str, sa.Engine]:
    where = "URL"  # not the text itself: it may hold a password
    try:
        parsed = sa.make_url(url)
        where = parsed.render_as_string(hide_password=True)
        match parsed.get_backend_name():
            case "sqlite":
                return where, _sqlite_engine(parsed)
            case "postgresql":
                return where, _postgresql_engine(parsed, where)
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            f"store {where}: {error}; give one such as sqlite:////var/lib/controller.db"
        ) from error
    raise ConfigError(f"store {where}: no such database is known; use sqlite or postgresql")


def _postgresql_engine(url: sa.URL, where: str) -> sa.Engine:
    if url.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise ConfigError(f"store {where}: driver {url.drivername}; use postgresql://…")
    url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(
            url.update_query_dict({**_POSTGRESQL, **url.query}), pool_pre_ping=True, pool_size=3
        )
    except ImportError as error:
        raise ConfigError(f"store {where}: {error}; run: pip install 'iotxmpp[postgres]'") from error


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database in {None, "", ":memory:"}:
        engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        _make_private(Path(str(url.database)))
        engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror}") from error


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401  # the driver's own connection
    connection.isolation_level = None  # or the driver would commit before each CREATE
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
    cursor.close()


def _on_begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(OWN_BEGIN):
        connection.exec_driver_sql(options.get(_BEGIN, "BEGIN"))
