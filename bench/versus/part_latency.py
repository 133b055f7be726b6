"""Latency at low load: from `publish` to the handler, which is called once the reading is committed."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass

from delivery_ends import End
from report import table
from samples import Series

from versus.goals import Goal, Outcome
from versus.processes import ask
from versus.sides import Pair, mqtt_pair, our_pair
from versus.stage import Stage

MOST = 2.0
PAUSE = 0.01
WARM_UP = 20

TEXT = """\
One device publishes one reading and pauses; {repetitions} repetitions of {rounds} rounds, each side once a
round, {pause:g} ms after the one before. The time runs from the call of `publish` until the handler at the
other end is entered, which both sides call when the reading is committed. Times in milliseconds.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    repetitions: int = 5
    rounds: int = 200


QUICK = Sizes(repetitions=2, rounds=100)
TINY = Sizes(repetitions=1, rounds=5)


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures both sides in turn."""
    series = [Series(name="iotxmpp"), Series(name="aiomqtt + Mosquitto")]
    for _ in range(sizes.repetitions):
        for each in series:
            each.begin()
        async with AsyncExitStack() as stack:
            pairs = [
                await stack.enter_async_context(our_pair(stage, handler=True)),
                await stack.enter_async_context(mqtt_pair(stage, handler=True)),
            ]
            for number in range(WARM_UP + sizes.rounds):
                for step in range(len(pairs)):
                    which = (number + step) % len(pairs)
                    took = await _once(pairs[which])
                    if number >= WARM_UP:
                        series[which].add(took)
                    await asyncio.sleep(PAUSE)
    ours, peer = series
    goals = [
        Goal(
            name=f"latency at low load, publish to handler, p{percent}, against aiomqtt",
            value=ours.percentile(percent) / peer.percentile(percent),
            unit="times",
            bound=MOST,
            least=False,
            basis=f"{ours.percentile(percent):.2f} ms, {peer.percentile(percent):.2f} ms",
        )
        for percent in (50, 99)
    ]
    text = TEXT.format(repetitions=sizes.repetitions, rounds=sizes.rounds, pause=PAUSE * 1000)
    return Outcome(goals=goals, text=f"{text}\n{latencies(series)}", figures={})


def latencies(series: list[Series]) -> str:
    """A table of percentiles."""
    rows = [
        (
            each.name,
            *(f"{each.percentile(percent):.2f}" for percent in (50, 90, 99)),
            f"{min(each.medians):.2f} to {max(each.medians):.2f}",
        )
        for each in series
    ]
    return table(("", "p50", "p90", "p99", "p50 of each repetition"), rows)


async def _once(pair: Pair) -> int:
    pair.consumer.order({"do": "arrival"})
    await ask(pair.device, "stamp")
    return await took(pair.consumer)


async def took(end: End) -> int:
    """The nanoseconds that an end answers."""
    return int(json.loads(await end.answer())["took"])
