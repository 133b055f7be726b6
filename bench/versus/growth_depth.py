"""Growth by the depth of the outbox: readings of an earlier run that wait when the agent comes online."""

import asyncio
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from versus.backlog import BYTES, fill
from versus.growth_measure import STAMPS, Work, latencies, sample, spent, work_of
from versus.growth_point import Point, Sample
from versus.sides import Pair, our_pair
from versus.stage import Stage, stage

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
        repetitions: How often each is measured.
        seconds: How long a backlog is watched while it shrinks.
        stamps: Live readings whose latency is measured meanwhile, each time.
    """

    depths: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    repetitions: int = 3
    seconds: float = 5.0
    stamps: int = STAMPS


TINY = Sizes(depths=(50, 500), repetitions=2, seconds=1.0, stamps=3)


async def measure(folder: Path | None, sizes: Sizes) -> list[Point]:
    """Each depth in turn, again and again, from copies of one outbox."""
    found: dict[int, list[Sample]] = {depth: [] for depth in sizes.depths}
    with tempfile.TemporaryDirectory(prefix="iotxmpp-bench-", dir=folder) as kept:
        full = {depth: Path(kept) / f"{depth}" / "outbox.db" for depth in sizes.depths}
        for depth, outbox in full.items():
            outbox.parent.mkdir()
            await fill(outbox, depth)
        for _ in range(sizes.repetitions):
            for depth, samples in found.items():
                samples.append(await _once(folder, full[depth], sizes, depth))
    return [Point(size=depth, samples=samples) for depth, samples in found.items()]


async def _once(folder: Path | None, outbox: Path, sizes: Sizes, depth: int) -> Sample:
    """As fast as it goes, for the throughput; then as the agent is, for all else."""
    async with (
        stage(folder) as place,
        our_pair(place, outbox=_copy(outbox, place), settings=FAST) as pair,
    ):
        work = await _shrinking(pair, depth, sizes.seconds)
    async with (
        stage(folder) as place,
        our_pair(place, handler=True, outbox=_copy(outbox, place), settings=POLITE) as pair,
    ):
        return sample(pair, work, await latencies(pair, sizes.stamps))


def _copy(outbox: Path, place: Stage) -> str:
    """Another of the same, with the files beside it."""
    return str(shutil.copytree(outbox.parent, place.file("outbox")) / outbox.name)


async def _shrinking(pair: Pair, depth: int, seconds: float) -> Work:
    """What is committed from now until all is, or the time is over."""
    at = await spent(pair)
    begun, before = time.monotonic(), pair.watch.now()
    now = before
    while now < depth and time.monotonic() - begun < seconds:
        await asyncio.sleep(_POLL)
        now = pair.watch.now()
    took = time.monotonic() - begun
    return work_of(at, await spent(pair), readings=max(1, now - before), seconds=took)
