"""Growth by the size of packs, for one busy device."""

from dataclasses import dataclass

from versus.growth_measure import latencies, p50_p99
from versus.growth_point import Point
from versus.part_batches import AHEAD
from versus.processes import ask
from versus.processor import resident_mb
from versus.rounds import one_round
from versus.sides import our_pair
from versus.stage import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        packs: Most readings of a pack, step by step.
        readings: Readings of the largest packs; of smaller ones so many as take about as long.
        few: Readings of packs of one.
        load: Readings a second beside which the latency is measured.
        stamps: Readings whose latency is measured.
    """

    packs: tuple[int, ...] = (1, 5, 20, 50, 100, 200, 500)
    readings: int = 100_000
    few: int = 4_000
    load: float = 500.0
    stamps: int = 200


TINY = Sizes(packs=(1, 50), readings=500, few=100, load=100.0, stamps=3)


async def measure(stage: Stage, sizes: Sizes) -> list[Point]:
    """Each size of packs once."""
    points = []
    for size in sizes.packs:
        readings = min(sizes.readings, sizes.few * size)
        async with our_pair(stage, handler=True, pack=size) as pair:
            found = await one_round(
                pair, readings, {"do": "stream", "ahead": AHEAD}, warm_up=min(readings, 500)
            )
            await ask(pair.device, "load", rate=sizes.load)
            p50, p99 = p50_p99(await latencies(pair, sizes.stamps))
            await ask(pair.device, "load", rate=0)
            points.append(
                Point(
                    size=size,
                    rate=found.rate,
                    p50=p50,
                    p99=p99,
                    device=resident_mb(pair.device.pid),
                    controller=resident_mb(pair.consumer.pid),
                    server=resident_mb(stage.server.pid),
                )
            )
    return points
