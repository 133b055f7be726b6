"""One busy device, both sides batching 50 readings a message; and what a reading costs the controller."""

from dataclasses import dataclass

from versus.feeds import JITTER
from versus.goals import Goal, Outcome
from versus.sides import mqtt_pair, our_pair
from versus.stage import Stage
from versus.turns import AIOMQTT, OURS, PAHO, Side, rates, take_turns

LEAST = 1.0
MOST_MICROSECONDS = 8.0
PACK = 50
AHEAD = 10_000
"""Readings that an agent is given before the collector has them."""

APART = 0.1
"""Seconds between readings that have a time of their own."""

TEXT = """\
The same device, {pack} readings a message. The peers' program puts {pack} readings into a JSON array and
publishes that, {tasks} messages at once; their consumer checks the array by pydantic in one call. The agent
is given {pack} readings of one channel by each of as many calls of `publish_many`, and its packs are bounded
to {pack}, which otherwise it forms as large as fits. `a sample` is {pack} channels read at once, as a driver
gives them, up to {ahead:,} readings more than are acknowledged. {repetitions} rounds of {readings:,}
readings, in turn; medians. The last row shows the agent as it is, with no bound to its packs.

The readings of one call of `publish_many` are of one moment, which a pack says once. With `distinct times`
each has its own, as a sensor that is read ten times a second gives them: {apart:g} s apart, and up to
{jitter:g} ms late. A reading of the peers says its time in full in any case.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    repetitions: int = 5
    readings: int = 200_000
    tasks: int = 100


QUICK = Sizes(repetitions=1, readings=60_000)
TINY = Sizes(repetitions=1, readings=1_000, tasks=5)


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures all sides in turn."""
    batches = {"do": "batches", "size": PACK, "tasks": sizes.tasks}
    count = sizes.readings
    sides = [
        Side(
            name=f"{OURS}, one channel",
            start=lambda stage: our_pair(stage, pack=PACK),
            order=batches,
            readings=count,
        ),
        Side(
            name=AIOMQTT,
            start=lambda stage: mqtt_pair(stage, inflight=0),
            order=batches,
            readings=count,
        ),
        Side(name=PAHO, start=lambda stage: mqtt_pair(stage, "paho"), order=batches, readings=count),
        Side(
            name=f"{OURS}, one channel, distinct times",
            start=lambda stage: our_pair(stage, pack=PACK),
            order={**batches, "apart": APART},
            readings=count,
        ),
        Side(
            name=f"{OURS}, a sample",
            start=lambda stage: our_pair(stage, pack=PACK, wide=PACK),
            order={"do": "samples", "ahead": AHEAD},
            readings=count,
        ),
        Side(name=f"{OURS}, packs not bounded", start=our_pair, order=batches, readings=count),
    ]
    await take_turns(stage, sides, sizes.repetitions)
    ours, peer, timed = sides[0], sides[1], sides[3]
    goals = [
        Goal(
            name=f"the same, both sides batching {PACK} readings a message: readings/s against aiomqtt",
            value=ours.rate / peer.rate,
            unit="times",
            bound=LEAST,
            least=True,
            basis=f"{ours.rate:,.0f}/s, {peer.rate:,.0f}/s",
        ),
        Goal(
            name=f"controller's processor time a reading in packs of {PACK}, each of one channel and moment",
            value=ours.consumer,
            unit="µs",
            bound=MOST_MICROSECONDS,
            least=False,
            basis=f"with distinct times {timed.consumer:.1f} µs; aiomqtt's consumer {peer.consumer:.1f} µs",
        ),
    ]
    text = TEXT.format(
        pack=PACK,
        tasks=sizes.tasks,
        ahead=AHEAD,
        repetitions=sizes.repetitions,
        readings=count,
        apart=APART,
        jitter=JITTER * 1000,
    )
    return Outcome(
        goals=goals,
        text=f"{text}\n{rates(sides, peer)}",
        figures={"rates": {side.name: side.rate for side in sides}},
    )
