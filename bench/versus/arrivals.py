"""How long a reading was on its way to a handler: its value is the moment at which it was published."""

import asyncio

from versus.obeying import Order


class Arrivals:
    """What a handler of a consumer got, to be asked for one by one, or many together."""

    def __init__(self) -> None:
        self._times: asyncio.Queue[int] = asyncio.Queue()

    def came(self, now: int, stamp: float) -> None:
        """The handler was entered now, in nanoseconds of the machine's clock, with this reading's value."""
        self._times.put_nowait(now - int(stamp))

    async def next(self, _order: Order) -> dict[str, int]:
        """The nanoseconds that the next one took."""
        return {"took": await self._times.get()}

    async def many(self, order: Order) -> dict[str, list[int]]:
        """The nanoseconds of each of the next so many."""
        return {"took": [await self._times.get() for _ in range(order["count"])]}
