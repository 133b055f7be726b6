"""A controller on a store of each kind: each reading once, over restarts, and acknowledged."""

from collections.abc import AsyncIterator

import pytest

from iotxmpp.controller import Store
from tests.store.samples import numbers
from tests.unit.controller_world import World, hall_world, until
from tests.unit.delivery_world import Heard, counting, send


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with hall_world() as world:
        yield world


async def test_readings_go_on_where_they_were_after_a_restart(world: World, store_url: str) -> None:
    async with world.device("hall") as hall:
        heard = Heard().serve(hall)
        for first in (1, 4, 7):
            controller = await world.controller(store=store_url)
            seen = counting(controller, historical=True)
            async with controller:
                await send(hall, max(1, first - 2), first + 2)
                await until(lambda: heard.upto.get("e1") == first + 2, 5.0)  # noqa: B023  # awaited in this turn
            assert seen == [first, first + 1, first + 2]
    store = Store(store_url)
    assert numbers(store) == list(range(1, 10))
    assert list(store.upto("hall").items()) == [("e1", 9)]
    store.close()
