"""The connection of the transactions that go on all the time: it is kept, and its driver is spoken to.

For a small transaction SQLAlchemy takes twice as long as the database: the pool's check-out and reset, and
each statement's context and result. Here it makes the connection, and executes what is seldom.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor
    from sqlalchemy.pool import PoolProxiedConnection

OWN_BEGIN = "iotxmpp_own_begin"
"""The option of a connection that begins its transactions by itself."""


class Direct:
    """Transactions on a connection that is kept; one at a time.

    After an error the next transaction has a new connection. One that broke while nobody used it is
    noticed by its BEGIN, before anything is written, and replaced at once.

    Args:
        engine: Makes the connection.

    Attributes:
        sqlite: Whether it is SQLite; PostgreSQL otherwise.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.sqlite = engine.dialect.name == "sqlite"
        self._engine = engine
        self._dialect = engine.dialect
        # A database in memory goes with its only connection.
        self._only = isinstance(engine.pool, StaticPool)
        self._connection: sa.Connection | None = None
        self._driver: PoolProxiedConnection
        self._cursor: DBAPICursor

    @contextmanager
    def transaction(self) -> Iterator["Direct"]:
        """A transaction that writes: all of it, or nothing. Raises what SQLAlchemy and the driver raise."""
        try:
            self._begin()
            yield self
            self._dialect.do_commit(self._driver)
        except BaseException:
            self.close()
            raise

    @property
    def connection(self) -> sa.Connection:
        """The same connection, for statements that are seldom; only within a transaction."""
        if self._connection is None:
            raise RuntimeError("no transaction is under way")
        return self._connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Executes a statement with `?` for each value."""
        self._cursor.execute(self._in_its_words(statement), values)

    def execute_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Executes a statement with the values of each row."""
        if len(rows) == 1:  # a driver's way for many costs more
            self.execute(statement, rows[0])
        else:
            self._cursor.executemany(self._in_its_words(statement), rows)

    def rows(self, statement: str, values: Sequence[object]) -> Sequence[Any]:
        """Executes a statement and gives its rows."""
        self.execute(statement, values)
        return self._cursor.fetchall()

    def close(self) -> None:
        """Gives the connection away, and with it what is not committed; calling it twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(self._dialect.loaded_dbapi.Error):  # it may be broken
            self._dialect.do_rollback(self._driver)
        if not self._only:
            connection.invalidate()
        connection.close()

    def _in_its_words(self, statement: str) -> str:
        return statement if self.sqlite else statement.replace("?", "%s")

    def _begin(self) -> None:
        # Locked at once, so that two writers wait for each other instead of failing.
        begin = "BEGIN IMMEDIATE" if self.sqlite else "BEGIN"
        if self._connection is not None:
            try:
                self._cursor.execute(begin)
            except self._dialect.loaded_dbapi.Error as error:
                if not self._dialect.is_disconnect(error, self._driver, self._cursor):
                    raise
                self.close()
            else:
                return
        self._connect()
        self._cursor.execute(begin)

    def _connect(self) -> None:
        connection = self._engine.connect().execution_options(**{OWN_BEGIN: True})
        self._connection = connection
        if not self.sqlite:
            connection.execution_options(isolation_level="AUTOCOMMIT")  # or psycopg would begin, too
        self._driver = connection.connection
        self._cursor = self._driver.cursor()
