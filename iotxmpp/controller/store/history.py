"""What the store knows of a device over a span of time, in time order and in constant memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.store.batch import Event, StateChange
from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.downsampling import HOUR, MINUTE
from iotxmpp.controller.store.rows import reading_of
from iotxmpp.controller.store.schema import (
    channels,
    devices,
    epochs,
    events,
    gaps,
    liveness,
    readings,
    summaries,
)
from iotxmpp.errors import UnknownChannelError, UnknownDeviceError
from iotxmpp.readings import Reading

ROWS = 4000
"""About how many rows are in memory at a time, of all channels together."""

_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What is left of old readings.

    Attributes:
        channel: The channel's name.
        unit: Its SenML unit; None for none.
        time: Where it begins, in seconds since 1970.
        seconds: How long it is.
        count: How many readings it is made of.
        least: The least of them; a truth value counts as 0 or 1.
        mean: Their mean.
        greatest: The greatest of them.
    """

    channel: str
    unit: str | None
    time: float
    seconds: int
    count: int
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """Readings that will never come, as the device said.

    Attributes:
        epoch: Their epoch.
        first: The first of their numbers.
        last: The last one.
        reason: Why.
        time: When the store was told, in seconds since 1970.
    """

    epoch: str
    first: int
    last: int
    reason: str
    time: float


Entry = Reading | Summary | Lost | StateChange | Event

_Page = Callable[[sa.Row[Any] | None], sa.Select[Any]]


class History:
    """Questions to a store; its calls block. It may be asked while a controller writes.

    Each page is a short transaction of its own, so that a slow reader holds nothing up. Readings that
    retention turns into summaries in the middle of an answer may be in it in both forms, or in neither.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def devices(self) -> list[str]:
        """The ids of all devices that the store knows.

        Raises:
            StoreError: They could not be read.
        """
        with self._database.read() as connection:
            return list(connection.execute(sa.select(devices.c.name).order_by(devices.c.name)).scalars())

    def channels(self, device: str) -> list[str]:
        """The names of all channels of a device.

        Raises:
            UnknownDeviceError: The store knows no such device.
            StoreError: They could not be read.
        """
        return sorted({row.name for row in self._channels(self._device(device))})

    def entries(
        self,
        device: str,
        channel: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        events: bool = False,
    ) -> Iterator[Entry]:
        """Readings, and summaries where readings are gone, in time order; late ones are marked historical.

        Args:
            device: The device's id.
            channel: Only this channel.
            since: From then on, in seconds since 1970.
            until: Only before then.
            events: Also gap records, changes of state and other events.

        Raises:
            UnknownDeviceError: The store knows no such device; the text names those that it knows.
            UnknownChannelError: The device has no such channel; the text names those that it has.
            StoreError: They could not be read; also from the iterator.
        """
        found = self._device(device)
        mine = self._channels(found)
        if channel is not None:
            wanted = [row for row in mine if row.name == channel]
            if not wanted:
                raise UnknownChannelError(
                    f"{device} has no channel {channel!r}; it has: {_named({row.name for row in mine})}"
                )
            mine = wanted
        low = float("-inf") if since is None else since
        high = float("inf") if until is None else until
        size = max(ROWS // max(len(mine), 1), 10)
        sources: list[Iterator[Entry]] = []
        for row in mine:
            sources.append(self._readings(row, low, high, size))
            sources += [self._summaries(row, seconds, low, high, size) for seconds in (HOUR, MINUTE)]
        if events:
            sources += [
                self._lost(found, low, high),
                self._states(found, device, low, high),
                self._events(found, device, low, high),
            ]
        return merge(*sources, key=lambda entry: entry.time)

    def _device(self, name: str) -> int:
        query = sa.select(devices.c.id).where(devices.c.name == name)
        with self._database.read() as connection:
            found: int | None = connection.execute(query).scalar()
        if found is None:
            raise UnknownDeviceError(
                f"the store knows no device {name!r}; it knows: {_named(self.devices())}"
            )
        return found

    def _channels(self, device: int) -> Sequence[sa.Row[Any]]:
        query = sa.select(channels).where(channels.c.device_id == device).order_by(channels.c.id)
        with self._database.read() as connection:
            return connection.execute(query).all()

    def _readings(self, channel: sa.Row[Any], low: float, high: float, size: int) -> Iterator[Entry]:
        place = readings.c.time, readings.c.epoch_id, readings.c.seq
        query = (
            sa.select(
                readings, sa.literal(channel.name).label("name"), sa.literal(channel.unit).label("unit")
            )
            .add_columns(epochs.c.epoch)
            .join(epochs, epochs.c.id == readings.c.epoch_id)
            .where(readings.c.channel_id == channel.id, *_within(readings.c.time, low, high))
            .order_by(*place)
            .limit(size)
        )

        def page(last: sa.Row[Any] | None) -> sa.Select[Any]:
            if last is None:
                return query
            after = sa.tuple_(*place) > sa.tuple_(last.time, last.epoch_id, last.seq)
            return query.where(readings.c.time >= last.time, after)

        return (reading_of(row) for row in self._pages(page, size))

    def _summaries(
        self, channel: sa.Row[Any], seconds: int, low: float, high: float, size: int
    ) -> Iterator[Entry]:
        columns = summaries.c
        query = (
            sa.select(summaries)
            .where(columns.channel_id == channel.id, columns.seconds == seconds)
            .where(*_within(columns.start, low - seconds + 1, high))
            .order_by(columns.start)
            .limit(size)
        )

        def page(last: sa.Row[Any] | None) -> sa.Select[Any]:
            return query if last is None else query.where(columns.start > last.start)

        return (
            Summary(
                channel=channel.name,
                unit=channel.unit or None,
                time=float(row.start),
                seconds=row.seconds,
                count=row._mapping["count"],  # noqa: SLF001  # a row is a tuple, whose count counts
                least=row.least,
                mean=row.mean,
                greatest=row.greatest,
            )
            for row in self._pages(page, size)
        )

    def _lost(self, device: int, low: float, high: float) -> Iterator[Entry]:
        place = gaps.c.received, gaps.c.epoch_id, gaps.c.first
        query = (
            sa.select(gaps, epochs.c.epoch)
            .join(epochs, epochs.c.id == gaps.c.epoch_id)
            .where(epochs.c.device_id == device, *_within(gaps.c.received, low, high))
            .order_by(*place)
            .limit(ROWS)
        )

        def page(last: sa.Row[Any] | None) -> sa.Select[Any]:
            if last is None:
                return query
            return query.where(sa.tuple_(*place) > sa.tuple_(last.received, last.epoch_id, last.first))

        return (
            Lost(epoch=row.epoch, first=row.first, last=row.last, reason=row.reason, time=row.received)
            for row in self._pages(page, ROWS)
        )

    def _states(self, device: int, name: str, low: float, high: float) -> Iterator[Entry]:
        return (
            StateChange(device=name, state=row.state, why=row.why, time=row.time)
            for row in self._noticed(liveness, device, low, high)
        )

    def _events(self, device: int, name: str, low: float, high: float) -> Iterator[Entry]:
        return (
            Event(device=name, kind=row.kind, text=row.text, time=row.time)
            for row in self._noticed(events, device, low, high)
        )

    def _noticed(self, table: sa.Table, device: int, low: float, high: float) -> Iterator[sa.Row[Any]]:
        place = table.c.time, table.c.id
        query = (
            sa.select(table)
            .where(table.c.device_id == device, *_within(table.c.time, low, high))
            .order_by(*place)
            .limit(ROWS)
        )

        def page(last: sa.Row[Any] | None) -> sa.Select[Any]:
            return query if last is None else query.where(sa.tuple_(*place) > sa.tuple_(last.time, last.id))

        return self._pages(page, ROWS)

    def _pages(self, page: _Page, size: int) -> Iterator[sa.Row[Any]]:
        last = None
        while True:
            with self._database.read() as connection:
                rows = connection.execute(page(last)).all()
            yield from rows
            if len(rows) < size:
                return
            last = rows[-1]


def _within(column: sa.Column[Any], low: float, high: float) -> list[sa.ColumnElement[bool]]:
    # Neither database compares whole numbers with infinity in the same way.
    conditions: list[sa.ColumnElement[bool]] = []
    if low > float("-inf"):
        conditions.append(column >= low)
    if high < float("inf"):
        conditions.append(column < high)
    return conditions


def _named(names: Sequence[str] | set[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(shown[:_MOST_NAMED]) + more if shown else "none"
