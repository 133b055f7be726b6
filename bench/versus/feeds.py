"""How a device hands its readings over: by many tasks that each wait, or at a steady pace."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

Handing = Callable[[int], Awaitable[object]]
"""Hands one reading or batch over, by its number; returns when the side's own call returns."""

ONE: dict[str, Any] = {"count": 1, "rate": 1.0}
"""An order for one stamp alone."""

JITTER = 0.001
"""Seconds by which a sensor that is read steadily is late, at most."""

_SPREAD, _LATE, _WORD = 2_654_435_761, 2_246_822_519, 2**32 - 1


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


async def stamps(publish: Callable[[int], Awaitable[object]], order: dict[str, Any]) -> dict[str, list[int]]:
    """Hands readings over that say the moment of their call; how many nanoseconds the calls took.

    Args:
        publish: Publishes one, given the nanoseconds of the machine's clock.
        order: How many, `count`, and how many a second, `rate`.
    """
    returned = []

    async def one(_: int) -> None:
        called = time.monotonic_ns()
        await publish(called)
        returned.append(time.monotonic_ns() - called)

    await steadily(one, order["count"], rate=order["rate"])
    return {"returned": returned}


async def _of(waited: Awaitable[object]) -> None:
    await waited


def value(number: int) -> float:
    """The temperature that is read for the so-many-th time: as noisy as a sensor can be.

    A smooth curve would make compressed packs look better than they are. It prints with two digits after the
    point at most, as sensors give it; a sum of floats would print up to fifteen.
    """
    return (2000 + ((number * _SPREAD & _WORD) >> 16) % 1000) / 100


def late(number: int) -> float:
    """By how many seconds the so-many-th reading is late; it has nothing to do with its value."""
    return (number * _LATE & _WORD) / _WORD * JITTER
