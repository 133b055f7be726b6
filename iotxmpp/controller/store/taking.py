"""Takes what devices sent into the store: readings exactly once, and the cursors that say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.store.batch import Arrival, Batch, Event, Record, StateChange, Taken
from iotxmpp.controller.store.cursors import Cursor, Cursors, Name
from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.doubt import Doubt, Doubts
from iotxmpp.controller.store.inserting import insert
from iotxmpp.controller.store.keys import channel_ids, device_ids
from iotxmpp.controller.store.rows import Pack, names_of
from iotxmpp.controller.store.schema import epochs, events, gaps, liveness, rejections
from iotxmpp.controller.store.settling import settle
from iotxmpp.intervals import Run


class Taker:
    """Writes batches; it remembers ids and cursors, and is used by one thread at a time.

    Several controllers may share one PostgreSQL: each transaction locks the cursors that it moves, and a
    remembered one counts only while its row's version is the same.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._devices = device_ids()
        self._channels = channel_ids()
        self._cursors = Cursors()
        self._doubts = Doubts()

    def take(self, batch: Batch) -> list[Taken]:
        """Writes a batch, all or nothing; it is on disk when this returns.

        After a COMMIT without an answer, what is there already is not written again, and what came of it is
        given as if it had been: the batch may hold more by then, but the same objects.

        Raises:
            StoreError: It could not be written.
        """
        self._doubts.settle(self._database)
        missing = self._doubts.missing(batch)
        taken = self._write(missing) if missing.arrivals or missing.records else []
        return self._doubts.complete(batch, taken)

    def _write(self, batch: Batch) -> list[Taken]:
        doubt: Doubt | None = None
        try:
            with self._database.write_often() as direct:
                devices = self._devices.find(direct, {(name,) for name in _named(batch)})
                cursors, taken = self._arrivals(direct, batch.arrivals, devices)
                refused = [rejection for each in taken for rejection in each.rejections]
                if batch.records or refused:
                    _keep(direct.connection, sorted([*batch.records, *refused], key=_time), devices)
                doubt = Doubt(token=self._doubts.leave_token(direct), batch=batch, taken=taken)
        except BaseException:
            self._devices.forget()
            self._channels.forget()
            self._cursors.forget()
            if doubt is not None:  # it failed at the COMMIT, whose answer may be all that was lost
                self._doubts.doubt(doubt)
            raise
        self._cursors.remember(cursors)
        return taken

    def _arrivals(
        self, direct: Direct, arrivals: Sequence[Arrival], devices: Mapping[tuple[str], int]
    ) -> tuple[dict[Name, Cursor], list[Taken]]:
        if not arrivals:
            return {}, []
        names = [(devices[each.device,], each.epoch) for each in arrivals]
        cursors = self._cursors.lock(direct, set(names), arrivals[-1].received)
        taken: list[Taken] = []
        packs: list[Pack] = []
        lost: list[dict[str, Any]] = []
        channels = self._channel_ids(direct, arrivals, names)
        for name, arrival in zip(names, arrivals, strict=True):
            cursor = cursors[name]
            result, fresh = _settle(cursor, arrival)
            taken.append(result)
            packs.append(Pack(result.readings, arrival.received, cursor.id, channels[name[0]]))
            if arrival.reason is not None:
                lost += [_lost(cursor, arrival, run) for run in fresh]
        insert(direct, packs)
        if lost:
            direct.connection.execute(sa.insert(gaps), lost)
        self._cursors.keep(direct, cursors.values())
        return cursors, taken

    def _channel_ids(
        self, direct: Direct, arrivals: Sequence[Arrival], names: Sequence[Name]
    ) -> dict[int, dict[tuple[str, str], int]]:
        """The ids of the channels of all arrivals, by the id of their device."""
        keys = {
            (name[0], *channel)
            for name, arrival in zip(names, arrivals, strict=True)
            for channel in names_of(arrival.readings)
        }
        ids: dict[int, dict[tuple[str, str], int]] = {name[0]: {} for name in names}
        for (device, channel, unit), found in self._channels.find(direct, keys).items():
            ids[device][channel, unit] = found
        return ids


def upto(connection: sa.Connection, device_id: int, limit: int) -> dict[str, int]:
    """Of the epochs of a device that were seen last: up to where each is settled, the newest first."""
    query = (
        sa.select(epochs.c.epoch, epochs.c.contiguous)
        .where(epochs.c.device_id == device_id)
        .order_by(epochs.c.last_seen.desc(), epochs.c.id.desc())
        .limit(limit)
    )
    return {row.epoch: row.contiguous for row in connection.execute(query)}


def _settle(cursor: Cursor, arrival: Arrival) -> tuple[Taken, list[Run]]:
    result, fresh = settle(cursor.numbers, arrival)
    if not result.postponed:
        cursor.seen = arrival.received
    return result, fresh


def _lost(cursor: Cursor, arrival: Arrival, run: Run) -> dict[str, Any]:
    return {
        "epoch_id": cursor.id,
        "first": run[0],
        "last": run[1],
        "reason": arrival.reason,
        "received": arrival.received,
    }


def _named(batch: Batch) -> Iterable[str]:
    """The devices that need an id."""
    yield from {each.device for each in batch.arrivals}
    yield from {each.device for each in batch.records if not isinstance(each, Rejection)}


def _time(record: Record) -> float:
    return record.time


def _keep(connection: sa.Connection, records: Sequence[Record], devices: Mapping[tuple[str], int]) -> None:
    rows: dict[sa.Table, list[dict[str, Any]]] = {}
    for record in records:
        values = asdict(record)
        match record:
            case Rejection():
                table = rejections
            case Event():
                table = events
            case StateChange():
                table = liveness
        if table is not rejections:
            values["device_id"] = devices[values.pop("device"),]
        rows.setdefault(table, []).append(values)
    for table, found in rows.items():
        connection.execute(sa.insert(table), found)
