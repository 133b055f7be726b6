"""The round trip of a command against MQTT's request and response."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from samples import Series

from versus.goals import Goal, Outcome
from versus.part_latency import PAUSE, WARM_UP, latencies, took
from versus.sides import mqtt_callers, our_callers
from versus.stage import Stage

MOST = 1.0

TEXT = """\
A command with two typed arguments and a text as its answer; {repetitions} repetitions of {rounds} rounds,
each side once a round, {pause:g} ms after the one before. The peer publishes its request to the device's
topic with a response topic and correlation data (MQTT 5, QoS 1 both ways), and pydantic checks request and
answer. Times in milliseconds.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    repetitions: int = 9
    rounds: int = 200


QUICK = Sizes(repetitions=2, rounds=100)
TINY = Sizes(repetitions=1, rounds=5)


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures both kinds of ours and the peer in turn."""
    series = [
        Series(name="iotxmpp, an idempotent command"),
        Series(name="iotxmpp, a command in the journal"),
        Series(name="aiomqtt + Mosquitto"),
    ]
    for _ in range(sizes.repetitions):
        for each in series:
            each.begin()
        async with AsyncExitStack() as stack:
            ours = await stack.enter_async_context(our_callers(stage))
            peer = await stack.enter_async_context(mqtt_callers(stage))
            ways = [(ours, "water"), (ours, "water_once"), (peer, "water")]
            for number in range(WARM_UP + sizes.rounds):
                for step in range(len(ways)):
                    which = (number + step) % len(ways)
                    caller, command = ways[which]
                    caller.order({"do": "call", "command": command, "seconds": number + 1})
                    nanoseconds = await took(caller)
                    if number >= WARM_UP:
                        series[which].add(nanoseconds)
                    await asyncio.sleep(PAUSE)
    fast, kept, slow = (each.percentile(50) for each in series)
    goal = Goal(
        name="round trip of an idempotent command, p50, against MQTT request/response",
        value=fast / slow,
        unit="times",
        bound=MOST,
        least=False,
        basis=f"{fast:.2f} ms, {slow:.2f} ms; in the journal {kept:.2f} ms, {kept / slow:.2f} times",
    )
    text = TEXT.format(repetitions=sizes.repetitions, rounds=sizes.rounds, pause=PAUSE * 1000)
    return Outcome(goals=[goal], text=f"{text}\n{latencies(series)}", figures={})
