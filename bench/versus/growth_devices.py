"""Growth by the number of devices: 1, 10, 100, 1,000, each with a session of its own."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from iotxmpp.addresses import DeviceId
from versus.growth_measure import latencies, p50_p99
from versus.growth_point import Point
from versus.processor import resident_mb
from versus.rounds import WARM_UP
from versus.sides import Pair, our_fleet
from versus.stage import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        devices: How many there are, step by step.
        processes: Processes that they share at most.
        readings: Readings of all of them together.
        tasks: Tasks of all of them together.
        stamps: Readings whose latency is measured.
    """

    devices: tuple[int, ...] = (1, 10, 100, 1_000)
    processes: int = 4
    readings: int = 40_000
    tasks: int = 1_000
    stamps: int = 200


TINY = Sizes(devices=(1, 3), processes=2, readings=300, tasks=10, stamps=3)


async def measure(stage: Stage, sizes: Sizes) -> list[Point]:
    """Each number of devices once."""
    points = []
    for count in sizes.devices:
        names = [DeviceId(f"grown-{number}") for number in range(1, count + 1)]
        await stage.add(names)
        processes = min(count, sizes.processes)
        async with our_fleet(stage, names, processes=processes, handler=True) as pair:
            p50, p99 = p50_p99(await latencies(pair, sizes.stamps))
            rate = await _rate(pair, sizes, count)
            points.append(
                Point(
                    size=count,
                    rate=rate,
                    p50=p50,
                    p99=p99,
                    device=sum(resident_mb(end.pid) for end in pair.devices) / count,
                    controller=resident_mb(pair.consumer.pid),
                    server=resident_mb(stage.server.pid),
                )
            )
    return points


async def _rate(pair: Pair, sizes: Sizes, count: int) -> float:
    warm, each = max(1, WARM_UP // count), max(1, sizes.readings // count)
    await _all(pair, {"do": "singles", "each": warm, "tasks": 1})
    await pair.watch.committed(sizes.stamps + warm * count)
    begun, committed = await asyncio.gather(
        _all(pair, {"do": "singles", "each": each, "tasks": max(1, sizes.tasks // count)}),
        pair.watch.committed(sizes.stamps + (warm + each) * count),
    )
    return each * count / (committed - begun)


async def _all(pair: Pair, order: dict[str, Any]) -> float:
    """Has all processes do it; when the first of them began."""
    for end in pair.devices:
        end.order(order)
    return min([float(json.loads(await end.answer())["begun"]) for end in pair.devices])
