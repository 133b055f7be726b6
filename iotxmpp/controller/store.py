"""The controller's store: rejections, in SQLite unless told otherwise. The only importer of SQLAlchemy."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iotxmpp.addresses import bare_jid
from iotxmpp.controller.rejection import Rejection
from iotxmpp.errors import ConfigError, StoreError

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import StaticPool
except ImportError as error:
    raise ConfigError(
        f"the controller needs SQLAlchemy ({error}); run: pip install 'iotxmpp[controller]'"
    ) from error

SCHEMA = "1"
"""The version of the tables; a store of another version is left as it is."""

_BEGIN = "iotxmpp_begin"

STATE_VARIABLE = "IOTXMPP_STATE"

_tables = sa.MetaData()
_meta = sa.Table(
    "iotxmpp_meta",
    _tables,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(256), nullable=False),
)
_rejections = sa.Table(
    "iotxmpp_rejections",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("time", sa.Float, nullable=False, index=True),
    sa.Column("device", sa.String(64), nullable=False, index=True),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("publisher", sa.Text),
    sa.Column("code", sa.String(32), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
)
_FIELDS = tuple(column for column in _rejections.columns if column.name != "id")


def default_store_url(jid: str) -> str:
    """Where the controller of an account keeps its store, unless told otherwise.

    `$IOTXMPP_STATE`, else `$XDG_STATE_HOME/iotxmpp/<bare jid>`, else `~/.local/state/iotxmpp/<bare jid>`.
    """
    given = os.environ.get(STATE_VARIABLE)
    if given:
        directory = Path(given)
    else:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        directory = Path(home) / "iotxmpp" / bare_jid(jid)
    return f"sqlite:///{directory.absolute() / 'controller.db'}"


class Store:
    """What a controller keeps. Its calls block; use it off the loop.

    Args:
        url: A SQLAlchemy URL, such as `sqlite:////var/lib/iotxmpp/controller.db`. A missing SQLite file is
            made, in a directory that only its owner may enter.

    Raises:
        ConfigError: The URL is wrong, or the store is of another version, or not ours; nothing was changed.
        StoreError: It cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._where, self._engine = _engine(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        try:
            with self._failing():
                self._open()
        except BaseException:
            self._engine.dispose()
            raise

    def keep_rejections(self, rejections: Sequence[Rejection]) -> None:
        """Keeps rejections, all or none; they are on disk when this returns.

        Raises:
            StoreError: They could not be written.
        """
        if rejections:
            with self._failing(), self._begin() as connection:
                connection.execute(sa.insert(_rejections), [asdict(each) for each in rejections])

    def rejections(
        self, device: str | None = None, since: float | None = None, limit: int = 100
    ) -> list[Rejection]:
        """The newest rejections, the oldest of them first.

        Args:
            device: Only this device's.
            since: Only those that came then or later, in seconds since 1970.
            limit: At most so many.

        Raises:
            StoreError: They could not be read.
        """
        query = _where(sa.select(*_FIELDS), device, since).order_by(_rejections.c.id.desc()).limit(limit)
        with self._failing(), self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Rejection(**row) for row in reversed(rows)]

    def count(self, device: str | None = None, since: float | None = None) -> int:
        """How many rejections are kept.

        Raises:
            StoreError: They could not be read.
        """
        query = _where(sa.select(sa.func.count()).select_from(_rejections), device, since)
        with self._failing(), self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def close(self) -> None:
        """Closes the store; calling it twice is harmless."""
        self._engine.dispose()

    def _open(self) -> None:
        with self._engine.connect() as connection:
            if not _is_new(connection, self._where):
                return
        if self._sqlite:
            self._write_ahead()
        with self._begin() as connection:
            if _is_new(connection, self._where):  # another process may have been quicker
                _tables.create_all(connection)
                connection.execute(sa.insert(_meta).values(key="schema", value=SCHEMA))

    def _write_ahead(self) -> None:
        """Sets the journal's mode, which the file remembers; not possible inside a transaction."""
        raw = self._engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        finally:
            raw.close()

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            # Locked at once, so that two writers wait for each other instead of failing.
            connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                yield connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(f"store {self._where}: {cause}") from error


def _where(query: sa.Select[Any], device: str | None, since: float | None) -> sa.Select[Any]:
    if device is not None:
        query = query.where(_rejections.c.device == device)
    if since is not None:
        query = query.where(_rejections.c.time >= since)
    return query


def _is_new(connection: sa.Connection, where: str) -> bool:
    """Whether the store is new and empty; raises `ConfigError` for one that we must not touch."""
    tables = set(sa.inspect(connection).get_table_names())
    if _meta.name not in tables:
        if tables:
            raise ConfigError(f"store {where}: holds other tables, none of iotxmpp's; give another place")
        return True
    version = connection.execute(sa.select(_meta.c.value).where(_meta.c.key == "schema")).scalar()
    if version != SCHEMA:
        raise ConfigError(
            f"store {where}: its version is {version}, this program reads {SCHEMA}; nothing was changed;"
            " use the program that wrote it, or give another place"
        )
    return False


def _engine(url: str) -> tuple[str, sa.Engine]:
    where = "URL"  # not the text itself: it may hold a password
    try:
        parsed = sa.make_url(url)
        where = parsed.render_as_string(hide_password=True)
        if parsed.get_backend_name() != "sqlite":
            return where, sa.create_engine(parsed)
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            f"store {where}: {error}; give one such as sqlite:////var/lib/controller.db"
        ) from error
    return where, _sqlite_engine(parsed)


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
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


def _on_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
