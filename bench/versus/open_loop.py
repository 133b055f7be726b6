"""Latency in an open loop: readings come at a rate, whether those before them are acknowledged or not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from report import table
from samples import percentile

from versus.processes import ask
from versus.sides import Pair

PERCENTS = (50, 90, 99)
_MS = 1e6


@dataclass(kw_only=True)
class Times:
    """The times of one side at one rate, in milliseconds.

    Attributes:
        handled: From the call of `publish` to the handler.
        returned: From the call of `publish` until it returned.
    """

    handled: list[float] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)


Found = dict[int, list[Times]]
"""The times of each side, ours first, by rate."""


async def measure(pairs: Sequence[Pair], rates: Mapping[int, int], found: Found, *, turn: int) -> None:
    """Measures all sides at each rate, one side after another.

    Args:
        pairs: The sides.
        rates: How many readings each side gets, by readings a second.
        found: Where the times are added.
        turn: Which time this is; it says who begins.
    """
    for number, (rate, count) in enumerate(rates.items(), turn):
        times = found.setdefault(rate, [Times() for _ in pairs])
        for step in range(len(pairs)):
            which = (number + step) % len(pairs)
            await _steadily(pairs[which], rate, count, times[which])


async def _steadily(pair: Pair, rate: int, count: int, times: Times) -> None:
    pair.consumer.order({"do": "arrivals", "count": count})
    answer = await ask(pair.device, "stamps", rate=rate, count=count)
    times.returned += [each / _MS for each in answer["returned"]]
    times.handled += [each / _MS for each in json.loads(await pair.consumer.answer())["took"]]


def ratio(sides: Sequence[Times], percent: float) -> float:
    """Ours in times of the peer's, from `publish` to the handler."""
    ours, peer = (percentile(each.handled, percent) for each in sides)
    return ours / peer


def by_rates(found: Found, names: Sequence[str]) -> str:
    """The table: for each rate a row to the handler, and one until `publish` returns."""
    rows = []
    for rate, sides in found.items():
        for what, lists in (
            ("to the handler", [each.handled for each in sides]),
            ("until `publish` returns", [each.returned for each in sides]),
        ):
            figures = [[percentile(each, percent) for percent in PERCENTS] for each in lists]
            ours, peer = figures
            rows.append(
                (
                    f"{rate}/s, {what}",
                    f"{len(lists[0])}",
                    *(" / ".join(f"{each:.2f}" for each in side) for side in figures),
                    " / ".join(f"{mine / other:.2f}" for mine, other in zip(ours, peer, strict=True)),
                    "",
                )
            )
    heads = [f"{name}, p50 / p90 / p99" for name in names]
    return table(("one device", "readings of each side", *heads, "ratio, p50 / p90 / p99", ""), rows)
