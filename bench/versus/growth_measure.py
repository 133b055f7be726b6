"""What every kind of growth measures at each size."""

import asyncio
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from samples import percentile

from versus.growth_point import Sample
from versus.part_latency import took
from versus.processes import ask
from versus.processor import busy_seconds, resident_mb
from versus.sides import Pair

PAUSE = 0.01

STAMPS = 80
"""Readings of each repetition whose latency is measured."""

_MS = 1e6
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a pair has spent so far.

    Attributes:
        at: When that was looked at, in seconds by the monotonic clock.
        device: Seconds of processor time, of all processes with agents.
        server: Likewise of the server.
        controller: Likewise of the controller.
        machine: Likewise of all that runs on the machine.
        packs: Packs that came.
    """

    at: float
    device: float
    server: float
    controller: float
    machine: float
    packs: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What it took until some readings were committed; see `Sample`."""

    rate: float
    together: float
    device_cpu: float
    server_cpu: float
    controller_cpu: float
    other_cores: float


async def spent(pair: Pair) -> Spent:
    """What it is now."""
    return Spent(
        at=time.monotonic(),
        device=sum([(await ask(end, "cpu"))["cpu"] for end in pair.devices]),
        server=busy_seconds(pair.server),
        controller=(await ask(pair.consumer, "cpu"))["cpu"],
        machine=_machine_seconds(),
        packs=(await ask(pair.consumer, "packs"))["packs"],
    )


def work_of(before: Spent, after: Spent, *, readings: int, seconds: float) -> Work:
    """So many readings, committed within so many seconds, by what was spent before and after."""
    device, server, controller, machine = (
        getattr(after, what) - getattr(before, what) for what in ("device", "server", "controller", "machine")
    )
    return Work(
        rate=readings / seconds,
        together=readings / max(1.0, after.packs - before.packs),
        device_cpu=device / readings * 1e6,
        server_cpu=server / readings * 1e6,
        controller_cpu=controller / readings * 1e6,
        other_cores=max(0.0, machine - device - server - controller) / (after.at - before.at),
    )


def _machine_seconds() -> float:
    """Processor time of all cores so far; without what they were idle, or waited for disks."""
    _, user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text("ascii").splitlines()[0].split()
    return sum(int(each) for each in (user, nice, system, *interrupts[:3])) / _TICKS


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


def sample(pair: Pair, work: Work, times: list[float], *, agents: int = 1) -> Sample:
    """One repetition, with the memory as it is now; so many agents share the devices' processes."""
    return Sample(
        **asdict(work),
        p50=percentile(times, 50),
        p99=percentile(times, 99),
        device=sum(resident_mb(end.pid) for end in pair.devices) / agents,
        controller=resident_mb(pair.consumer.pid),
        server=resident_mb(pair.server),
    )
