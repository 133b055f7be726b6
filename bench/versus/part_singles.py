"""One busy device whose readings are handed over one by one: readings a second until they are committed."""

from dataclasses import dataclass

from versus import few_tasks
from versus.few_tasks import STRETCHES, Stretch
from versus.goals import Goal, Outcome
from versus.sides import mqtt_pair, our_pair, plain_pair
from versus.stage import Stage
from versus.turns import AIOMQTT, CALLS, OURS, PAHO, SLIXMPP, Side, rates, take_turns

LEAST = 10.0
FEW_AT_ONCE = 50
"""Tasks of plain slixmpp: it looks through all that wait at each answer, and does best with few."""

TEXT = """\
One device hands its readings over one by one, as a sensor makes them, by {tasks:,} tasks that each wait for
one before the next. The time runs from the first call until the last reading is committed in the store, as
seen from outside, and then the readings there are counted. The sides take turns, {repetitions} rounds each,
every round with new processes and a new store; medians. A side that is faster gets more readings, so that
rounds take about as long. The peers keep nothing on the device; iotxmpp has its outbox on disk. paho's
`publish` does not wait, so one thread calls it, with at most as many messages that are not acknowledged.
Plain slixmpp has {few} tasks: with more it is
slower. Processor time is for each reading, of all threads, user and system.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        repetitions: Rounds of each side.
        few_repetitions: Rounds with fewer tasks.
        ours: Readings of a round of iotxmpp.
        mqtt: Readings of a round of the MQTT clients.
        floor: Readings of a round of plain slixmpp.
        tasks: Tasks that hand over.
        few: Fewer tasks, measured besides.
        stretches: Very few tasks, measured besides.
        stretch_repetitions: Rounds of those.
    """

    repetitions: int = 5
    few_repetitions: int = 3
    ours: int = 100_000
    mqtt: int = 20_000
    floor: int = 6_000
    tasks: int = 1_000
    few: int = 200
    stretches: tuple[Stretch, ...] = STRETCHES
    stretch_repetitions: int = 3


QUICK = Sizes(repetitions=1, few_repetitions=1, ours=30_000, mqtt=6_000, floor=2_000, stretch_repetitions=1)
TINY = Sizes(
    repetitions=1,
    few_repetitions=1,
    ours=500,
    mqtt=200,
    floor=100,
    tasks=50,
    few=20,
    stretches=few_tasks.TINY,
    stretch_repetitions=1,
)


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures all sides in turn."""
    many, few = _sides(sizes, sizes.tasks), _sides(sizes, sizes.few)[:2]
    await take_turns(stage, many, sizes.repetitions)
    await take_turns(stage, few, sizes.few_repetitions)
    ours, peer = many[0], many[1]
    goal = Goal(
        name="one busy device, readings handed over one by one, to committed: readings/s against aiomqtt",
        value=ours.rate / peer.rate,
        unit="times",
        bound=LEAST,
        least=True,
        basis=f"{ours.rate:,.0f}/s, {peer.rate:,.0f}/s",
    )
    text = TEXT.format(tasks=sizes.tasks, few=FEW_AT_ONCE, repetitions=sizes.repetitions)
    loops = await few_tasks.measure(stage, few, sizes.stretches, repetitions=sizes.stretch_repetitions)
    fewer = f"The same with {sizes.few} tasks, {sizes.few_repetitions} rounds:\n"
    return Outcome(
        goals=[goal],
        text="\n".join([text, rates(many, peer), fewer, rates(few, few[1]), loops]),
        figures={"rates": {side.name: side.rate for side in many}},
    )


def _sides(sizes: Sizes, tasks: int) -> list[Side]:
    order = {"do": "singles", "tasks": tasks}
    return [
        Side(name=OURS, start=our_pair, order=order, readings=sizes.ours),
        Side(
            name=AIOMQTT,
            start=lambda stage: mqtt_pair(stage, inflight=0, calls=CALLS),
            order=order,
            readings=sizes.mqtt,
        ),
        Side(name=PAHO, start=lambda stage: mqtt_pair(stage, "paho"), order=order, readings=sizes.mqtt),
        Side(
            name=SLIXMPP,
            start=lambda stage: plain_pair(stage, "slixmpp"),
            order={**order, "tasks": min(tasks, FEW_AT_ONCE)},
            readings=sizes.floor,
        ),
    ]
