"""Readings to tidy away, and what is left of them."""

from dataclasses import replace

import sqlalchemy as sa

from iotxmpp.controller.store import Store
from iotxmpp.controller.store.schema import readings, summaries
from iotxmpp.readings import Value
from tests.store.samples import NOW, arrival, reading, take

DAY = 86400.0
START = NOW // 3600 * 3600
"""A full hour."""


def fill(store: Store, *values: Value, every: float = 1.0, epoch: str = "e1", start: float = START) -> None:
    """Readings of the temperature, live, that came about when they were read."""
    for first in range(0, len(values), 500):
        some = [
            replace(reading(seq, epoch=epoch, value=value), time=start + every * (seq - 1))
            for seq, value in enumerate(values, 1)
        ][first : first + 500]
        given = arrival(*(each.seq for each in some), epoch=epoch)
        take(store, replace(given, readings=tuple(some), received=start))


def left(store: Store) -> int:
    with store.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(readings)).scalar_one())


def counted(store: Store) -> int:
    """Readings of the store, each as itself or in a summary."""
    with store.database.read() as connection:
        in_sums = connection.execute(sa.select(sa.func.sum(summaries.c["count"]))).scalar()
    return left(store) + int(in_sums or 0)
