"""Opens a database as a store: a new one gets its tables, an older one is brought up to date."""

import sqlalchemy as sa

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.schema import SCHEMA, meta, tables
from iotxmpp.errors import ConfigError

_OLDEST = 1
_LOCK = 0x696F7478
"""The number under which PostgreSQL lets one process at a time look and change."""


def prepare(database: Database) -> None:
    """Makes the tables current, in one transaction.

    Version 1 held rejections alone, version 2 had neither commands nor twins: what is missing is added.

    Raises:
        ConfigError: The store is of another version, or not ours; nothing was changed.
        StoreError: It cannot be read or written.
    """
    with database.read() as connection:
        version = _version(connection, database.where)
    if version == SCHEMA:
        return
    if version is None:
        database.set_up()
    with database.write() as connection:
        if not database.sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        version = _version(connection, database.where)  # another process may have been quicker
        if version == SCHEMA:
            return
        tables.create_all(connection)
        if version is None:
            connection.execute(sa.insert(meta).values(key="schema", value=str(SCHEMA)))
        else:
            connection.execute(sa.update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA)))


def _version(connection: sa.Connection, where: str) -> int | None:
    """The version of a store; None for an empty database."""
    names = set(sa.inspect(connection).get_table_names())
    if meta.name not in names:
        if names:
            raise ConfigError(f"store {where}: holds other tables, none of iotxmpp's; give another place")
        return None
    text = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema")).scalar()
    if not (text and text.isdecimal() and _OLDEST <= int(text) <= SCHEMA):
        raise ConfigError(
            f"store {where}: its version is {text}, this program reads {_OLDEST} to {SCHEMA};"
            " nothing was changed; use the program that wrote it, or give another place"
        )
    return int(text)
