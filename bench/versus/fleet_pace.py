"""How a process with many devices keeps a pace: all devices in turn, evenly spread over each second."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

TURN = 0.005
"""Seconds from one look at what is due to the next."""

MOST_WAITING = 100
"""Readings of one device that wait for their call to return; a device that has more skips its turn."""

Handing = Callable[[int], Awaitable[object]]


async def pace(devices: Sequence[Handing], *, rate: float, seconds: float) -> int:
    """Has each device hand over `rate` readings a second; how many were handed over in all.

    Args:
        devices: Hand one reading over, by its number.
        rate: Readings a second of each.
        seconds: How long.
    """
    loop = asyncio.get_running_loop()
    waiting = [0] * len(devices)
    handed = due = 0
    total = round(rate * len(devices) * seconds)

    async def hand(which: int, number: int) -> None:
        try:
            await devices[which](number)
        finally:
            waiting[which] -= 1

    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        while due < total:
            now = min(total, int((loop.time() - begun) * rate * len(devices)))
            for number in range(due, now):
                which = number % len(devices)
                if waiting[which] < MOST_WAITING:
                    waiting[which] += 1
                    handed += 1
                    group.create_task(hand(which, number))
            due = now
            await asyncio.sleep(TURN)
    return handed
