"""The store's tables, version 3.

Times are seconds since 1970 (UTC). A reading is named by its epoch and its number in it; both never change,
so that what comes twice is found by the primary key alone.
"""

import sqlalchemy as sa

SCHEMA = 3
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

commands = sa.Table(
    "iotxmpp_commands",
    tables,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("controller", sa.String(320), nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("sent", sa.Integer, nullable=False),
    sa.Column("first_sent", sa.Double),
    sa.Column("updated", sa.Double, nullable=False),
    sa.UniqueConstraint("controller", "id"),
    sa.Index("iotxmpp_commands_by_state", "controller", "state", "updated"),
    sa.Index("iotxmpp_commands_by_device", "device", "seq"),
    sqlite_autoincrement=True,
)
"""Commands with a time to live: those that wait, in the order of `seq`, and what became of the others.

`controller` is the bare JID of the one that sends it: another one would be another caller to the device,
which tells calls apart by caller and id. `by` is the bare JID of whom it is called for; empty for the
controller. `arguments` and `result` are JSON. `sent` counts how often it was sent.
"""

twin_desired = sa.Table(
    "iotxmpp_twin_desired",
    tables,
    sa.Column("device_id", sa.ForeignKey(devices.c.id), primary_key=True, autoincrement=False),
    sa.Column("lineage", sa.String(64), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("updated", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)
"""What a device shall be like. `settings` is JSON, all of them; `version` grows by one at each change."""

twin_changes = sa.Table(
    "iotxmpp_twin_changes",
    tables,
    sa.Column("device_id", sa.ForeignKey(devices.c.id), primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(256), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Which settings a version changed, and their values as JSON, `null` for one that was removed."""

twin_reported = sa.Table(
    "iotxmpp_twin_reported",
    tables,
    sa.Column("device_id", sa.ForeignKey(devices.c.id), primary_key=True, autoincrement=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("updated", sa.Double, nullable=False),
)
"""What a device last said that it is like, as JSON."""
