"""What devices send, as the store takes it."""

import sqlalchemy as sa

from iotxmpp.controller.rejection import Origin, Rejection
from iotxmpp.controller.store import Arrival, Batch, Store, Taken
from iotxmpp.controller.store.rows import value_of
from iotxmpp.controller.store.schema import channels, devices, epochs, readings
from iotxmpp.intervals import runs_of
from iotxmpp.readings import Reading, Value

NOW = 1_800_000_000.0


def reading(
    seq: int, *, epoch: str = "e1", channel: str = "temperature", value: Value | None = None
) -> Reading:
    return Reading(
        channel=channel,
        value=float(seq) if value is None else value,
        unit="Cel",
        time=NOW + seq,
        epoch=epoch,
        seq=seq,
        received=NOW,
    )


def arrival(*seqs: int, device: str = "hall", epoch: str = "e1", rejected: tuple[int, ...] = ()) -> Arrival:
    return Arrival(
        device=device,
        epoch=epoch,
        numbers=runs_of(sorted([*seqs, *rejected])),
        readings=tuple(reading(seq, epoch=epoch) for seq in seqs),
        rejections=tuple((seq, rejection(device, item=f"{epoch}.{seq}")) for seq in rejected),
        received=NOW,
    )


def lost(first: int, last: int, *, device: str = "hall", epoch: str = "e1") -> Arrival:
    return Arrival(device=device, epoch=epoch, numbers=((first, last),), reason="full", received=NOW)


def rejection(device: str = "hall", *, item: str = "e1.1", error: str = "too hot") -> Rejection:
    origin = Origin(device=device, node=f"iot/{device}/readings", item=item, publisher=f"{device}@localhost")
    return origin.rejection("range", error, '{"n":"temperature"}')


def take(store: Store, *arrivals: Arrival) -> list[Taken]:
    return store.take(Batch(arrivals=arrivals))


def stored(store: Store) -> list[tuple[str, str, int, str, Value]]:
    """Every reading of the store: device, epoch, number, channel, value."""
    query = (
        sa.select(devices.c.name, epochs.c.epoch, readings.c.seq, channels.c.name.label("channel"), readings)
        .join(epochs, epochs.c.id == readings.c.epoch_id)
        .join(devices, devices.c.id == epochs.c.device_id)
        .join(channels, channels.c.id == readings.c.channel_id)
        .order_by(devices.c.name, epochs.c.epoch, readings.c.seq)
    )
    with store.database.read() as connection:
        return [
            (row[0], row[1], row[2], row.channel, value_of(row.kind, row.number, row.text))
            for row in connection.execute(query)
        ]


def numbers(store: Store, device: str = "hall", epoch: str = "e1") -> list[int]:
    return [row[2] for row in stored(store) if row[:2] == (device, epoch)]
