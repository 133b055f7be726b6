"""What every kind of growth measures at each size."""

import asyncio

from samples import percentile

from versus.part_latency import took
from versus.processes import ask
from versus.sides import Pair

PAUSE = 0.01
_MS = 1e6


async def latencies(pair: Pair, count: int) -> list[float]:
    """The milliseconds of so many stamps, one after another, the processes and their devices in turn."""
    found = []
    for number in range(count):
        end = pair.devices[number % len(pair.devices)]
        pair.consumer.order({"do": "arrival"})
        await ask(end, "stamp", which=number)
        found.append(await took(pair.consumer) / _MS)
        await asyncio.sleep(PAUSE)
    return found


def p50_p99(times: list[float]) -> tuple[float, float]:
    """Both percentiles."""
    return percentile(times, 50), percentile(times, 99)
