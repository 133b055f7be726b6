"""The block of the page that `growth.py` writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import table

from versus import kept
from versus.growth_point import Point, exponents
from versus.plots import Look, lines

BLOCK = "bench/growth.py"

HEAD = """\
## Growth

`python bench/growth.py` measures this, iotxmpp alone; `--only KIND` one kind of it: {kinds}.

- Machine: {machine}; its load before the run was {load}
- Software: {software}
- Servers: {servers}

A growth of 1 is in proportion to the size, and of 0 means no growth at all; more than 1 would be worse than
linear. It is told for the time that a reading takes, so that 0 is a throughput that holds, for the latency
(p50 and p99), and for memory. A p99 is of 200 readings, so about the third slowest of them. Memory is
resident, in MB of 1,048,576 bytes.
"""

COST, LATENCY, SLOWEST = "time a reading", "latency p50", "p99"
_MEMORY = {"device": "memory of a device", "controller": "the controller's", "server": "Prosody's"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One thing that grows.

    Attributes:
        title: Its heading.
        size: What grows, for people.
        text: How it is measured.
        bound: What bounds the throughput, in a sentence.
    """

    title: str
    size: str
    text: str
    bound: str


KINDS = {
    "devices": Kind(
        title="By the number of devices",
        size="devices",
        text="""\
Each device is an agent with a session and an outbox of its own, up to 1,000 in four processes. The throughput
is of 1,000 tasks that share the devices; the latency of one reading at a time, while the other devices are
online and silent but for their heartbeats.
""",
        bound="""\
One device fills its packs; many devices send small ones, so the throughput falls towards what Prosody's one
core passes on, item by item, and towards what two cores leave to a thousand agents. Latency waits for one
item's way through the server and one commit. The memory of a process is shared by its agents, and what
remains for each is its session; the controller and Prosody keep a little for each device.
""",
    ),
    "packs": Kind(
        title="By the size of packs",
        size="readings a pack",
        text="""\
One busy device whose packs are bounded. The latency is measured beside a load of 500 readings a second.
""",
        bound="""\
Small packs are bounded by what one item costs Prosody and both links; large ones by what one reading costs
the agent and the controller: between them the throughput grows with the size, and then it holds.
""",
    ),
    "depth": Kind(
        title="By the depth of the outbox",
        size="readings that wait",
        text="""\
An agent comes online with so many readings of an earlier run on disk; 10,000 at least, since fewer are gone
while the session still begins, and would measure that. Nothing is subtracted for it, so it weighs most in the
first row. For the throughput it sends them as fast as it can; the latency is that of live readings while it
sends them as it does by itself, 2,000 a second and in half of its publishing time. Its memory is read while
it still sends, or after.
""",
        bound="""\
The outbox is read page by page by its key, so neither time nor memory hangs on its depth: the throughput is
bounded by the controller's work on a reading. Live readings go before the backlog. Without the limits of the
agent's `[outbox]` a large backlog fills the controller's queue, and live readings wait behind what is there
already.
""",
    ),
}


def write(page: Path, found: Mapping[str, Any]) -> str:
    """The block, with its plots drawn beside the page."""
    parts = [HEAD.format(kinds=", ".join(f"`{name}`" for name in KINDS), **found["run"])]
    for name, kind in KINDS.items():
        if name in found["parts"]:
            points = [Point(**point) for point in found["parts"][name]]
            parts += [f"### {kind.title}\n", kind.text, points_table(points, kind.size)]
            parts += [kind.bound, _plots(kept.folder_of(page), name, points, kind)]
    return "\n".join(parts)


def points_table(points: Sequence[Point], size: str) -> str:
    """The figures, and how they grow from the size before."""
    rows = []
    for number, point in enumerate(points):
        growths = [(what, each[number - 1]) for what, each in growth(points).items()] if number else []
        rows.append(
            (
                f"{point.size:,}",
                f"{point.rate:,.0f}",
                f"{point.p50:.2f}",
                f"{point.p99:.2f}",
                f"{point.device:.1f}",
                f"{point.controller:.1f}",
                f"{point.server:.1f}",
                ", ".join(f"{what} {exponent:.2f}" for what, exponent in growths),
            )
        )
    head = (size, "readings a second", "p50, ms", "p99, ms", "MB a device", "controller", "Prosody", "growth")
    greatest = {what: max(each, default=0.0) for what, each in growth(points).items()}
    slowest = greatest.pop(SLOWEST)
    worst = max(greatest.values())
    return (
        f"{table(head, rows)}\nThe greatest growth of a step is {worst:.2f}: {_verdict(worst)}."
        f" Of the latency's p99, which no other figure includes, it is {slowest:.2f}: {_verdict(slowest)}.\n"
    )


def _verdict(exponent: float) -> str:
    return "no step is worse than linear" if exponent <= 1 else "**a step is worse than linear**"


def growth(points: Sequence[Point]) -> dict[str, list[float]]:
    """The exponents of each figure, from each size to the next."""
    found = {COST: [-each for each in exponents(points, "rate")], LATENCY: exponents(points, "p50")}
    found[SLOWEST] = exponents(points, "p99")
    return {**found, **{name: exponents(points, what) for what, name in _MEMORY.items()}}


def _plots(folder: Path, name: str, points: Sequence[Point], kind: Kind) -> str:
    def series(**wanted: Callable[[Point], float]) -> dict[str, list[tuple[float, float]]]:
        return {
            label.replace("_", " "): [(each.size, of(each)) for each in points]
            for label, of in wanted.items()
        }

    plots = {
        "throughput": (series(committed=lambda each: each.rate), "readings a second"),
        "latency": (series(p50=lambda each: each.p50, p99=lambda each: each.p99), "ms"),
        "memory": (
            series(
                a_device=lambda each: each.device,
                controller=lambda each: each.controller,
                Prosody=lambda each: each.server,
            ),
            "MB",
        ),
    }
    shown = []
    for what, (drawn, unit) in plots.items():
        file = f"growth-{name}-{what}.svg"
        title = f"{kind.title}: {what}"
        lines(folder / file, drawn, Look(title=title, x=kind.size, y=unit))
        shown.append(f"![{title}]({folder.name}/{file})\n")
    return "".join(shown)
