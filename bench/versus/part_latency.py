"""Latency from `publish` to the handler, which is called once the reading is committed.

One reading at a time, which meets none before it, and at a pace, as a steady device has it.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from delivery_ends import End
from report import table
from samples import Series, percentile

from versus import open_loop
from versus.goals import Goal, Outcome
from versus.processes import ask
from versus.sides import Pair, mqtt_pair, our_pair
from versus.stage import Stage
from versus.turns import AIOMQTT, OURS

MOST = 2.0
PAUSE = 0.01
WARM_UP = 20
TOLD = 30
"""Readings a second whose ratios stand among the goals, without a verdict."""

TEXT = """\
One reading at a time: one device publishes one and waits until `publish` has returned and the handler was
entered, then pauses {pause:g} ms; {repetitions} repetitions of {rounds} rounds, each side once a round. So no
reading meets an earlier one that is not settled yet, and the goals are for this alone. The time runs from the
call of `publish` until the handler at the other end is entered, which both sides call when the reading is
committed. The other two rows tell when `publish` returned: the agent's does so when the reading is committed
to its disk, for which it takes its time, or when the collector has acknowledged it; aiomqtt's does so with
the broker's PUBACK, which says nothing of the consumer. Times in milliseconds.
"""

STEADY = """\
At a pace, as a steady device has it: each reading is handed over when it is due, whether those before it are
acknowledged or not; runs of each side in turn, {repetitions} at each pace. Here a reading of the agent may
wait for the answer to an earlier one, or gather with others into one item, while each reading over MQTT is a
message of its own. Where there are few readings, p99 is about the slowest of them.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        repetitions: Repetitions, each with new processes.
        rounds: Readings of each repetition that come one at a time.
        steady_repetitions: In how many of the repetitions readings come at a pace, too.
        steady: How many then, by readings a second.
    """

    repetitions: int = 5
    rounds: int = 200
    steady_repetitions: int = 2
    steady: Mapping[int, int] = field(
        default_factory=lambda: {2: 10, 12: 36, TOLD: 90, 100: 200, 300: 450}  # 14 s of each side
    )


QUICK = Sizes(repetitions=2, rounds=100, steady_repetitions=1)
TINY = Sizes(repetitions=1, rounds=5, steady_repetitions=1, steady={12: 3, TOLD: 10, 300: 50})


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures both sides in turn."""
    names = (OURS, AIOMQTT)
    series = [Series(name=name) for name in names]
    returned = [Series(name=f"{name}, until `publish` returns") for name in names]
    found: open_loop.Found = {}
    for repetition in range(sizes.repetitions):
        for each in (*series, *returned):
            each.begin()
        async with AsyncExitStack() as stack:
            pairs = [
                await stack.enter_async_context(our_pair(stage, handler=True)),
                await stack.enter_async_context(mqtt_pair(stage, handler=True)),
            ]
            for number in range(WARM_UP + sizes.rounds):
                for step in range(len(pairs)):
                    which = (number + step) % len(pairs)
                    took, waited = await _once(pairs[which])
                    if number >= WARM_UP:
                        series[which].add(took)
                        returned[which].add(waited)
                    await asyncio.sleep(PAUSE)
            if repetition < sizes.steady_repetitions:
                await open_loop.measure(pairs, sizes.steady, found, turn=repetition)
    text = TEXT.format(repetitions=sizes.repetitions, rounds=sizes.rounds, pause=PAUSE * 1000)
    steady = STEADY.format(repetitions=sizes.steady_repetitions)
    return Outcome(
        goals=[*_one_at_a_time(series), *_at_a_pace(found[TOLD])],
        text=f"{text}\n{latencies([*series, *returned])}\n{steady}\n{open_loop.by_rates(found, names)}",
        figures={},
    )


def _one_at_a_time(series: Sequence[Series]) -> list[Goal]:
    ours, peer = series
    return [
        Goal(
            name=f"latency of one reading at a time, publish to handler, p{percent}, against aiomqtt",
            value=ours.percentile(percent) / peer.percentile(percent),
            unit="times",
            bound=MOST,
            least=False,
            basis=f"{ours.percentile(percent):.2f} ms, {peer.percentile(percent):.2f} ms",
        )
        for percent in (50, 99)
    ]


def _at_a_pace(sides: Sequence[open_loop.Times]) -> list[Goal]:
    return [
        Goal(
            name=f"the same at {TOLD} readings a second, each handed over when it is due, p{percent}",
            value=open_loop.ratio(sides, percent),
            unit="times",
            bound=None,
            least=False,
            basis=", ".join(f"{percentile(each.handled, percent):.2f} ms" for each in sides),
        )
        for percent in (50, 99)
    ]


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


async def _once(pair: Pair) -> tuple[int, int]:
    """The nanoseconds to the handler, and until `publish` returned."""
    pair.consumer.order({"do": "arrival"})
    answer = await ask(pair.device, "stamp")
    return await took(pair.consumer), answer["returned"][0]


async def took(end: End) -> int:
    """The nanoseconds that an end answers."""
    return int(json.loads(await end.answer())["took"])
