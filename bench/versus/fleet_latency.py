"""How long a reading of a fleet is on its way to the handler, while all its devices keep a pace."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from report import table
from samples import percentile

from versus.open_loop import PERCENTS
from versus.processes import ask
from versus.sides import Pair

SECONDS = 4.0
_MS = 1e6

TEXT = """\
While all of them keep a pace, a reading takes so many milliseconds from the call of `publish` until the
handler at the other end is entered; {seconds:g} s a step, of which the first quarter does not count;
{repetitions} runs of each side in turn.
"""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """One side.

    Attributes:
        name: For people.
        start: Starts its processes, the consumer's with a handler.
        took: The milliseconds of each reading, by readings a second of each device.
    """

    name: str
    start: Callable[[], AbstractAsyncContextManager[Pair]]
    took: dict[int, list[float]] = field(default_factory=dict)


async def measure(fleets: Sequence[Fleet], rates: Sequence[int], *, repetitions: int) -> None:
    """Measures all sides at each rate, one side after another."""
    for number in range(repetitions):
        for fleet in fleets if number % 2 == 0 else reversed(fleets):
            async with fleet.start() as pair:
                for rate in rates:
                    fleet.took.setdefault(rate, []).extend(await _step(pair, rate))


async def _step(pair: Pair, rate: int) -> list[float]:
    for end in pair.devices:
        end.order({"do": "pace", "rate": rate, "seconds": SECONDS, "stamps": True})
    answers = [json.loads(await end.answer()) for end in pair.devices]
    came = await ask(pair.consumer, "arrivals", count=sum(answer["handed"] for answer in answers))
    took = [each / _MS for each in came["took"]]
    return took[len(took) // 4 :]


def markdown(fleets: Sequence[Fleet], rates: Sequence[int], *, repetitions: int) -> str:
    """The text and its table."""
    rows = []
    for rate in rates:
        sides = [
            " / ".join(f"{percentile(fleet.took[rate], percent):.1f}" for percent in PERCENTS)
            for fleet in fleets
        ]
        rows.append((f"{rate}/s", f"{len(fleets[0].took[rate])}", *sides, ""))
    heads = [f"{fleet.name}, p50 / p90 / p99" for fleet in fleets]
    figures = table(("each device", "readings, ours", *heads, ""), rows)
    return f"{TEXT.format(seconds=SECONDS, repetitions=repetitions)}\n{figures}"
