"""Growth by the number of devices: 1, 10, 100, 1,000, each with a session of its own."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iotxmpp.addresses import DeviceId
from versus.growth_measure import STAMPS, Work, latencies, sample, spent, work_of
from versus.growth_point import Point, Sample
from versus.rounds import WARM_UP
from versus.sides import Pair, our_fleet
from versus.stage import stage

PROCESSES = 4
"""Processes that the devices share at most."""

TASKS = 1_000
"""Tasks of all devices together."""

DEAR = 1_000
"""Of so many devices and more the start takes most of the time: all repetitions share one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        devices: How many there are, step by step, and the readings of all of them together.
        repetitions: How often each is measured.
        dear: So many devices and more start once for all repetitions.
        stamps: Readings whose latency is measured, each time.
    """

    devices: Mapping[int, int] = field(
        default_factory=lambda: {1: 60_000, 10: 60_000, 100: 40_000, DEAR: 20_000}
    )
    repetitions: int = 3
    dear: int = DEAR
    stamps: int = STAMPS


TINY = Sizes(devices={1: 300, 3: 300}, repetitions=2, dear=3, stamps=3)


async def measure(folder: Path | None, sizes: Sizes) -> list[Point]:
    """Each number of devices in turn, again and again; those that are dear in the middle of it."""
    found: dict[int, list[Sample]] = {count: [] for count in sizes.devices}
    for repetition in range(sizes.repetitions):
        for count in sizes.devices:
            if count < sizes.dear:
                found[count] += await _started(folder, sizes, count, times=1)
            elif repetition == sizes.repetitions // 2:
                found[count] += await _started(folder, sizes, count, times=sizes.repetitions)
    return [
        Point(size=count, processes=min(count, PROCESSES), samples=samples)
        for count, samples in found.items()
    ]


async def _started(folder: Path | None, sizes: Sizes, count: int, *, times: int) -> list[Sample]:
    """So many devices, once online on a new server, measured so many times."""
    names = [DeviceId(f"grown-{number}") for number in range(1, count + 1)]
    async with stage(folder) as place:
        await place.add(names)
        async with our_fleet(place, names, processes=min(count, PROCESSES), handler=True) as pair:
            warm, each = max(1, WARM_UP // count), max(1, sizes.devices[count] // count)
            await _all(pair, {"do": "singles", "each": warm, "tasks": 1})
            done, samples = warm * count, []
            await pair.watch.committed(done)
            for _ in range(times):
                waited = await latencies(pair, sizes.stamps)
                work = await _work(pair, each, count, done + sizes.stamps)
                done += sizes.stamps + each * count
                samples.append(sample(pair, work, waited, agents=count))
            return samples


async def _work(pair: Pair, each: int, count: int, done: int) -> Work:
    """Each device publishes so many, beside those that are done with."""
    before = await spent(pair)
    begun, committed = await asyncio.gather(
        _all(pair, {"do": "singles", "each": each, "tasks": max(1, TASKS // count)}),
        pair.watch.committed(done + each * count),
    )
    return work_of(before, await spent(pair), readings=each * count, seconds=committed - begun)


async def _all(pair: Pair, order: dict[str, Any]) -> float:
    """Has all processes do it; when the first of them began."""
    for end in pair.devices:
        end.order(order)
    return min([float(json.loads(await end.answer())["begun"]) for end in pair.devices])
