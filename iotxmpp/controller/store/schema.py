"""The store's tables, version 2.

Times are seconds since 1970 (UTC). A reading is named by its epoch and its number in it; both never change,
so that what comes twice is found by the primary key alone.
"""

import sqlalchemy as sa

SCHEMA = 2
"""The version of the tables."""

tables = sa.MetaData()

meta = sa.Table(
    "iotxmpp_meta",
    tables,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(256), nullable=False),
)

rejections = sa.Table(
    "iotxmpp_rejections",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("time", sa.Double, nullable=False, index=True),
    sa.Column("device", sa.String(64), nullable=False, index=True),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("publisher", sa.Text),
    sa.Column("code", sa.String(32), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
)

devices = sa.Table(
    "iotxmpp_devices",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
)
"""`name` is the device's id."""

epochs = sa.Table(
    "iotxmpp_epochs",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.ForeignKey(devices.c.id), nullable=False),
    sa.Column("epoch", sa.String(32), nullable=False),
    sa.Column("contiguous", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("first_seen", sa.Double, nullable=False),
    sa.Column("last_seen", sa.Double, nullable=False),
    sa.UniqueConstraint("device_id", "epoch"),
)
"""All numbers up to `contiguous` are stored, rejected, or lost; `version` grows at each change of the row."""

islands = sa.Table(
    "iotxmpp_islands",
    tables,
    sa.Column("epoch_id", sa.ForeignKey(epochs.c.id), primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Runs of numbers beyond `contiguous` that are stored, rejected, or lost."""

channels = sa.Table(
    "iotxmpp_channels",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.ForeignKey(devices.c.id), nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("unit", sa.String(64), nullable=False),
    sa.UniqueConstraint("device_id", "name", "unit"),
)
"""`unit` is empty for none. A channel that changes its unit gets another row."""

readings = sa.Table(
    "iotxmpp_readings",
    tables,
    sa.Column("epoch_id", sa.ForeignKey(epochs.c.id), primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("channel_id", sa.ForeignKey(channels.c.id), nullable=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("kind", sa.String(1), nullable=False),
    sa.Column("number", sa.Double),
    sa.Column("text", sa.Text),
    sa.Column("received", sa.Double, nullable=False),
    sa.Column("historical", sa.Boolean, nullable=False),
    sa.Column("clock", sa.String(1), nullable=False),
    sa.Index("iotxmpp_readings_by_time", "channel_id", "time"),
    sqlite_with_rowid=False,
)
"""`kind`: f float, i int, b bool (`number` is 0 or 1), s text. An int beyond 2**53 has its digits in `text`.

`received` is by the controller's clock. `clock` is the quality of the device's: s set, u not set for sure,
r never set: `time` was found by the controller's.
"""

gaps = sa.Table(
    "iotxmpp_gaps",
    tables,
    sa.Column("epoch_id", sa.ForeignKey(epochs.c.id), primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("received", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Numbers that the device said will never come, and that had not come."""

liveness = sa.Table(
    "iotxmpp_liveness",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.ForeignKey(devices.c.id), nullable=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Index("iotxmpp_liveness_by_time", "device_id", "time"),
)
"""A row for each change of a device's state."""

events = sa.Table(
    "iotxmpp_events",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.ForeignKey(devices.c.id), nullable=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("iotxmpp_events_by_time", "device_id", "time"),
)
"""What else was noticed of a device; `kind` is `clone` or `epoch`."""

summaries = sa.Table(
    "iotxmpp_summaries",
    tables,
    sa.Column("channel_id", sa.ForeignKey(channels.c.id), primary_key=True, autoincrement=False),
    sa.Column("seconds", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("least", sa.Double, nullable=False),
    sa.Column("mean", sa.Double, nullable=False),
    sa.Column("greatest", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Downsampled readings: of the `seconds` from `start` on."""
