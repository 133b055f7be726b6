"""Growth by the size of packs, for one busy device."""

import json
from dataclasses import dataclass
from pathlib import Path

from versus.growth_measure import STAMPS, Work, latencies, sample, spent, work_of
from versus.growth_point import Point, Sample
from versus.part_batches import AHEAD
from versus.processes import ask
from versus.rounds import WARM_UP
from versus.sides import Pair, our_pair
from versus.stage import stage

LOAD = 500.0
"""Readings a second beside which the latency is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        packs: Most readings of a pack, step by step.
        repetitions: How often each is measured.
        readings: Readings of the largest packs; of smaller ones so many as take about as long.
        few: Readings of packs of one.
        stamps: Readings whose latency is measured, each time.
    """

    packs: tuple[int, ...] = (1, 5, 20, 50, 200, 500)
    repetitions: int = 3
    readings: int = 50_000
    few: int = 2_000
    stamps: int = STAMPS


TINY = Sizes(packs=(1, 50), repetitions=2, readings=500, few=100, stamps=3)


async def measure(folder: Path | None, sizes: Sizes) -> list[Point]:
    """Each size of packs in turn, again and again."""
    found: dict[int, list[Sample]] = {size: [] for size in sizes.packs}
    for _ in range(sizes.repetitions):
        for size, samples in found.items():
            samples.append(await _once(folder, sizes, size))
    return [Point(size=size, samples=samples) for size, samples in found.items()]


async def _once(folder: Path | None, sizes: Sizes, size: int) -> Sample:
    readings = min(sizes.readings, sizes.few * size)
    async with stage(folder) as place, our_pair(place, handler=True, pack=size) as pair:
        work = await _work(pair, readings, min(readings, WARM_UP))
        await ask(pair.device, "load", rate=LOAD)
        times = await latencies(pair, sizes.stamps)
        await ask(pair.device, "load", rate=0)
        return sample(pair, work, times)


async def _work(pair: Pair, readings: int, warm_up: int) -> Work:
    """So many readings, as a driver gives them, after so many that are not timed."""
    await ask(pair.device, "stream", ahead=AHEAD, readings=warm_up)
    await pair.watch.committed(warm_up)
    before = await spent(pair)
    pair.device.order({"do": "stream", "ahead": AHEAD, "readings": readings})
    committed = await pair.watch.committed(warm_up + readings)
    begun = json.loads(await pair.device.answer())["begun"]
    return work_of(before, await spent(pair), readings=readings, seconds=committed - begun)
