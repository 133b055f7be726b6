"""Several controllers on one PostgreSQL, at the same moment, and one whose server goes away."""

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from iotxmpp.controller.store import Batch, Store
from iotxmpp.errors import StoreError
from tests.postgres import PostgresServer
from tests.store.samples import arrival, numbers, take

DEVICES = ["attic", "cellar", "hall", "roof"]
COUNT = 60


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_writers_side_by_side_take_each_reading_once(store: Store, store_url: str) -> None:
    start = threading.Barrier(4)

    def write(seed: int) -> list[tuple[str, int]]:
        order = Random(seed)  # noqa: S311  # an order, no secret
        own = Store(store_url)
        new: list[tuple[str, int]] = []
        portions = [(device, first) for device in DEVICES for first in range(1, COUNT, 5)]
        order.shuffle(portions)
        start.wait(10)
        while portions:
            batch, portions = portions[:6], portions[6:]
            arrivals = [arrival(*range(first, first + 5), device=device) for device, first in batch]
            for (device, _), taken in zip(batch, own.take(Batch(arrivals=arrivals)), strict=True):
                new += [(device, each.seq) for each in taken.readings]
        own.close()
        return new

    with ThreadPoolExecutor(max_workers=4) as pool:
        found = [each for part in pool.map(write, range(4)) for each in part]
    expected = sorted((device, seq) for device in DEVICES for seq in range(1, COUNT + 1))
    assert sorted(found) == expected, "each was new to one of them, once"
    for device in DEVICES:
        assert numbers(store, device) == list(range(1, COUNT + 1))
        assert store.upto(device) == {"e1": COUNT}


def test_after_its_server_was_restarted_a_store_goes_on(postgresql: PostgresServer) -> None:
    store = Store(postgresql.database())
    take(store, arrival(1, 2))
    postgresql.stop()
    try:
        with pytest.raises(StoreError):
            take(store, arrival(3))
    finally:
        postgresql.start_again()
    assert take(store, arrival(2, 3))[0].upto == 3
    assert numbers(store) == [1, 2, 3]
    store.close()
