"""Growth by the depth of the outbox: readings of an earlier run that wait when the agent comes online."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from versus.backlog import BYTES
from versus.growth_measure import latencies, p50_p99
from versus.growth_point import Point
from versus.processor import resident_mb
from versus.sides import Pair, our_pair
from versus.stage import Stage

POLITE: dict[str, Any] = {"bytes": BYTES, "replay_delay": 0.0}
"""As an agent is by itself, but that it begins at once."""

FAST: dict[str, Any] = {**POLITE, "replay_rate": 1e6, "replay_share": 1.0}
"""As fast as it goes."""

_POLL = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        depths: Readings that wait, step by step; fewer would measure how an agent comes online.
        seconds: How long a backlog is watched while it shrinks.
        stamps: Live readings whose latency is measured meanwhile.
    """

    depths: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    seconds: float = 10.0
    stamps: int = 200


TINY = Sizes(depths=(50, 500), seconds=1.0, stamps=3)


async def measure(stage: Stage, sizes: Sizes) -> list[Point]:
    """Each depth once as fast as it goes, for the throughput, and once as the agent is, for all else."""
    points = []
    for depth in sizes.depths:
        async with our_pair(stage, backlog=depth, settings=FAST) as pair:
            rate = await _shrinking(pair, depth, sizes.seconds)
        async with our_pair(stage, handler=True, backlog=depth, settings=POLITE) as pair:
            p50, p99 = p50_p99(await latencies(pair, sizes.stamps))
            points.append(
                Point(
                    size=depth,
                    rate=rate,
                    p50=p50,
                    p99=p99,
                    device=resident_mb(pair.device.pid),
                    controller=resident_mb(pair.consumer.pid),
                    server=resident_mb(stage.server.pid),
                )
            )
    return points


async def _shrinking(pair: Pair, depth: int, seconds: float) -> float:
    """Readings a second that are committed, from now until all are, or the time is over."""
    begun, before = time.monotonic(), pair.watch.now()
    now = before
    while now < depth and time.monotonic() - begun < seconds:
        await asyncio.sleep(_POLL)
        now = pair.watch.now()
    return max(1, now - before) / (time.monotonic() - begun)
