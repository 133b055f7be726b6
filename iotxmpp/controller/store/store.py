"""The store as the controller uses it."""

from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.store.batch import Batch, Taken
from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.migration import prepare
from iotxmpp.controller.store.rows import reading_of
from iotxmpp.controller.store.schema import channels, devices, epochs, readings, rejections
from iotxmpp.controller.store.taking import Taker, upto
from iotxmpp.delivery import MOST_EPOCHS
from iotxmpp.readings import Reading

_FIELDS = tuple(column for column in rejections.columns if column.name != "id")


class Store:
    """What a controller keeps. Its calls block; use it off the loop, `take` in one thread at a time.

    Args:
        url: A SQLAlchemy URL, such as `sqlite:////var/lib/iotxmpp/controller.db` or
            `postgresql://iotxmpp@localhost/iotxmpp`. A missing SQLite file is made, in a directory that only
            its owner may enter.

    Attributes:
        database: The database under it.

    Raises:
        ConfigError: The URL is wrong, or the store is of another version, or not ours; nothing was changed.
        StoreError: It cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        try:
            prepare(self.database)
        except BaseException:
            self.database.close()
            raise
        self._taker = Taker(self.database)

    def take(self, batch: Batch) -> list[Taken]:
        """Writes a batch, all or nothing; it is on disk when this returns.

        Numbers that an epoch has already are left out, so that it does not matter how often, in what order
        or in what portions readings come.

        Returns:
            What came of each arrival, in their order.

        Raises:
            BadRowError: The database does not take these very values.
            StoreError: It could not be written.
        """
        return self._taker.take(batch)

    def upto(self, device: str, limit: int = MOST_EPOCHS) -> dict[str, int]:
        """Up to where each epoch of a device is settled: of those that were seen last, the newest first.

        Raises:
            StoreError: It could not be read.
        """
        with self.database.read() as connection:
            found = connection.execute(sa.select(devices.c.id).where(devices.c.name == device)).scalar()
            return {} if found is None else upto(connection, found, limit)

    def latest(self, device: str) -> list[Reading]:
        """The newest reading of each channel of a device, of those that did not come late.

        Raises:
            StoreError: They could not be read.
        """
        mine = sa.select(channels.c.id).join(devices).where(devices.c.name == device)
        with self.database.read() as connection:
            found = [_newest(connection, channel) for channel in connection.execute(mine).scalars()]
        newest: dict[str, Reading] = {}
        for reading in sorted((each for each in found if each is not None), key=lambda each: each.time):
            newest[reading.channel] = reading
        return list(newest.values())

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
        query = (
            _where(sa.select(*_FIELDS), device, since)
            .order_by(rejections.c.time.desc(), rejections.c.id.desc())
            .limit(limit)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [Rejection(**row) for row in reversed(rows)]

    def count(self, device: str | None = None, since: float | None = None) -> int:
        """How many rejections are kept.

        Raises:
            StoreError: They could not be read.
        """
        query = _where(sa.select(sa.func.count()).select_from(rejections), device, since)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def close(self) -> None:
        """Closes the store; calling it twice is harmless."""
        self.database.close()


def _where(query: sa.Select[Any], device: str | None, since: float | None) -> sa.Select[Any]:
    if device is not None:
        query = query.where(rejections.c.device == device)
    if since is not None:
        query = query.where(rejections.c.time >= since)
    return query


def _newest(connection: sa.Connection, channel: int) -> Reading | None:
    query = (
        sa.select(readings, channels.c.name, channels.c.unit, epochs.c.epoch)
        .join(channels, channels.c.id == readings.c.channel_id)
        .join(epochs, epochs.c.id == readings.c.epoch_id)
        .where(readings.c.channel_id == channel, sa.not_(readings.c.historical))
        .order_by(readings.c.time.desc(), readings.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return reading_of(row)
