"""How a device hands its readings over: by many tasks that each wait, or at a steady pace."""

import asyncio
from collections.abc import Awaitable, Callable

Handing = Callable[[int], Awaitable[object]]
"""Hands one reading or batch over, by its number; returns when the side's own call returns."""

_SPREAD, _WORD = 2_654_435_761, 2**32 - 1


async def by_tasks(hand: Handing, count: int, *, tasks: int) -> None:
    """Hands so many over, by tasks that each wait for one before the next."""

    async def some(first: int) -> None:
        for number in range(first, count, tasks):
            await hand(number)

    await asyncio.gather(*(some(first) for first in range(min(tasks, count))))


async def steadily(hand: Handing, count: int, *, rate: float) -> None:
    """Hands so many over, so many a second, whether those before have been taken or not."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            if (wait := begun + number / rate - loop.time()) > 0:
                await asyncio.sleep(wait)
            group.create_task(_of(hand(number)))


async def _of(waited: Awaitable[object]) -> None:
    await waited


def value(number: int) -> float:
    """The temperature that is read for the so-many-th time: two digits, as noisy as a sensor can be.

    A smooth curve would make compressed packs look better than they are.
    """
    return 20 + ((number * _SPREAD & _WORD) >> 16) % 1000 / 100
