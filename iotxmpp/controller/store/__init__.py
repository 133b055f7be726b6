"""The controller's store: readings exactly once, and what else is kept. The only importer of SQLAlchemy."""

from iotxmpp.errors import ConfigError

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401  # only to say what is missing
except ImportError as error:
    raise ConfigError(
        f"the controller needs SQLAlchemy ({error}); run: pip install 'iotxmpp[controller]'"
    ) from error

from iotxmpp.controller.store.batch import Arrival, Batch, Event, Record, StateChange, Taken
from iotxmpp.controller.store.database import BadRowError, Database
from iotxmpp.controller.store.finding import Memory
from iotxmpp.controller.store.history import Entry, History, Lost, Summary
from iotxmpp.controller.store.places import STATE_VARIABLE, audit_place, default_store_url
from iotxmpp.controller.store.retention import Chunk, Retention, sweep
from iotxmpp.controller.store.schema import SCHEMA
from iotxmpp.controller.store.store import Store

__all__ = [
    "SCHEMA",
    "STATE_VARIABLE",
    "Arrival",
    "BadRowError",
    "Batch",
    "Chunk",
    "Database",
    "Entry",
    "Event",
    "History",
    "Lost",
    "Memory",
    "Record",
    "Retention",
    "StateChange",
    "Store",
    "Summary",
    "Taken",
    "audit_place",
    "default_store_url",
    "sweep",
]
