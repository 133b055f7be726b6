"""A hundred devices, from one reading each a second upwards until what is committed follows no more."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from statistics import median

from report import table

from iotxmpp.addresses import DeviceId
from versus import fleet_latency
from versus.fleet_latency import Fleet
from versus.goals import Goal, Outcome
from versus.sides import Pair, mqtt_fleet, our_fleet
from versus.stage import Stage
from versus.turns import AIOMQTT, FLEET_CALLS, OURS

LEAST = 1.0
FOLLOWS = 0.9
"""What is committed follows what is offered while it is at least this part of it."""

ENOUGH = 2
"""Steps in a row that do not follow, after which a ladder ends: one alone may be the machine's."""

TEXT = """\
{devices} devices in {processes} processes, each device with a session of its own, hand over so many readings
a second each, one by one, for {seconds:g} s a step; what is committed is counted in all but the first quarter
of it. A device skips a turn when a hundred of its readings wait. A side's steps end with the second in a row
at which less than {follows:.0%} of what is offered is committed: its greatest committed rate is its
saturation. {repetitions} ladders of each side in turn; medians. On a machine of two cores devices, server and
consumer share them. aiomqtt has at most {calls} calls at once in each client, which is its best.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        repetitions: Ladders of each side.
        devices: The devices.
        processes: Their processes.
        seconds: How long a step takes.
        rates: Readings a second of each device, step by step.
        latency_repetitions: Runs of each side for the latency.
        latency_rates: Readings a second of each device then.
    """

    repetitions: int = 3
    devices: int = 100
    processes: int = 2
    seconds: float = 4.0
    rates: tuple[float, ...] = (1, 20, 40, 60, 80, 110, 150, 200, 280, 400)
    latency_repetitions: int = 2
    latency_rates: tuple[int, ...] = (1, 5, 10, 20)


QUICK = Sizes(repetitions=1, seconds=3.0, rates=(1, 40, 60, 100, 200), latency_repetitions=1)
TINY = Sizes(repetitions=1, devices=3, seconds=1.0, rates=(5, 10), latency_repetitions=1, latency_rates=(5,))


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One side.

    Attributes:
        name: For people.
        start: Starts its processes.
        steps: What was committed a second, by rate of each device, once a repetition.
        saturations: The greatest rates, once a repetition.
    """

    name: str
    start: Callable[[], AbstractAsyncContextManager[Pair]]
    steps: dict[float, list[float]] = field(default_factory=dict)
    saturations: list[float] = field(default_factory=list)


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Climbs both ladders in turn."""
    names = [DeviceId(f"fleet-{number}") for number in range(1, sizes.devices + 1)]
    await stage.add(names)
    ladders = [
        Ladder(name=OURS, start=lambda: our_fleet(stage, names, processes=sizes.processes)),
        Ladder(
            name=AIOMQTT, start=lambda: mqtt_fleet(stage, names, processes=sizes.processes, calls=FLEET_CALLS)
        ),
    ]
    for number in range(sizes.repetitions):
        for ladder in ladders if number % 2 == 0 else reversed(ladders):
            async with ladder.start() as pair:
                await _climb(pair, ladder, sizes)
    ours, peer = (median(ladder.saturations) for ladder in ladders)
    goal = Goal(
        name=f"{sizes.devices} devices: readings/s at saturation against aiomqtt",
        value=ours / peer,
        unit="times",
        bound=LEAST,
        least=True,
        basis=f"{ours:,.0f}/s, {peer:,.0f}/s",
    )
    text = TEXT.format(
        devices=sizes.devices,
        processes=sizes.processes,
        seconds=sizes.seconds,
        follows=FOLLOWS,
        calls=FLEET_CALLS,
        repetitions=sizes.repetitions,
    )
    steps = {
        ladder.name: [
            (rate * sizes.devices, median(ladder.steps[rate])) for rate in sizes.rates if rate in ladder.steps
        ]
        for ladder in ladders
    }
    latencies = await _latencies(stage, names, sizes)
    return Outcome(
        goals=[goal], text=f"{text}\n{_steps(ladders, sizes)}\n{latencies}", figures={"steps": steps}
    )


async def _latencies(stage: Stage, names: list[DeviceId], sizes: Sizes) -> str:
    processes = sizes.processes
    fleets = [
        Fleet(name=OURS, start=lambda: our_fleet(stage, names, processes=processes, handler=True)),
        Fleet(
            name=AIOMQTT,
            start=lambda: mqtt_fleet(stage, names, processes=processes, calls=FLEET_CALLS, handler=True),
        ),
    ]
    rates, repetitions = sizes.latency_rates, sizes.latency_repetitions
    await fleet_latency.measure(fleets, rates, repetitions=repetitions)
    return fleet_latency.markdown(fleets, rates, repetitions=repetitions)


async def _climb(pair: Pair, ladder: Ladder, sizes: Sizes) -> None:
    sent, greatest, behind = 0, 0.0, 0
    for rate in sizes.rates:
        committed, handed = await _step(pair, rate, sizes.seconds)
        sent += handed
        await pair.watch.committed(sent)
        ladder.steps.setdefault(rate, []).append(committed)
        greatest = max(greatest, committed)
        behind = behind + 1 if committed < FOLLOWS * rate * sizes.devices else 0
        if behind == ENOUGH:
            break
    ladder.saturations.append(greatest)


async def _step(pair: Pair, rate: float, seconds: float) -> tuple[float, int]:
    """What was committed a second, and how many were handed over in all."""
    for end in pair.devices:
        end.order({"do": "pace", "rate": rate, "seconds": seconds})
    await asyncio.sleep(seconds / 4)
    begun, before = time.monotonic(), pair.watch.now()
    await asyncio.sleep(seconds * 3 / 4)
    committed = (pair.watch.now() - before) / (time.monotonic() - begun)
    answers = [json.loads(await end.answer()) for end in pair.devices]
    return committed, sum(answer["handed"] for answer in answers)


def _steps(ladders: list[Ladder], sizes: Sizes) -> str:
    rows = []
    for rate in sizes.rates:
        cells = [f"{median(ladder.steps[rate]):,.0f}" if rate in ladder.steps else "" for ladder in ladders]
        if any(cells):
            rows.append((f"{rate * sizes.devices:,.0f}", *cells, ""))
    rows.append(("saturation", *(f"{median(ladder.saturations):,.0f}" for ladder in ladders), ""))
    return table(("offered a second", *(f"committed, {ladder.name}" for ladder in ladders), ""), rows)
