"""The block of the page that `growth.py` writes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any

from report import table

from versus import kept
from versus.growth_kinds import KINDS, Kind
from versus.growth_measure import STAMPS
from versus.growth_point import Point, exponents, single_exponents
from versus.plots import Look, lines

BLOCK = "bench/growth.py"

HEAD = """\
## Growth

`python bench/growth.py` measures this, iotxmpp alone; `--only KIND` one kind of it: {kinds}.

- Machine: {machine}; its load before the run was {load}
- Software: {software}
- Servers: {servers}

Each size is measured several times, in turn with the others; each start of a controller and its agents has a
new server of its own. All figures are medians of the repetitions, with the least and the greatest beside
them. The p99 of a repetition is of {stamps} readings, so almost its slowest. Memory is resident, in
MB of 1,048,576 bytes; that of a device is its share of its process. Processor time and readings a pack are of
the same readings as the throughput; a core kept busy means a second of processor time each second.

A growth of 1 is in proportion to the size, and of 0 means no growth at all; more than 1 would be worse than
linear. It is told for the time that a reading takes, so that 0 is a throughput that holds, for the latency
(p50 and p99), and for memory.
"""

COST, LATENCY, SLOWEST = "time a reading", "latency p50", "p99"
_MEMORY = {"device": "memory of a device", "controller": "the controller's", "server": "Prosody's"}
_FIGURES = {LATENCY: "p50", SLOWEST: "p99", **{name: what for what, name in _MEMORY.items()}}
_WIDTH = 110


def write(page: Path, found: Mapping[str, Any]) -> str:
    """The block, with its plots drawn beside the page."""
    run, parts = found["run"], found["parts"]
    said = [HEAD.format(kinds=", ".join(f"`{name}`" for name in KINDS), stamps=STAMPS, **run)]
    for name, kind in KINDS.items():
        if name in parts:
            points = [Point.of(point) for point in parts[name]]
            said += [f"### {kind.title}\n", _paragraph(kind.text), points_table(points, kind.size)]
            said += [*_bounds(points, kind, run["cores"]), _plots(kept.folder_of(page), name, points, kind)]
    return "\n".join(said)


def points_table(points: Sequence[Point], size: str) -> str:
    """The figures, what they cost, and how they grow from each size to the next."""
    rates = [
        (
            f"{each.size:,}",
            f"{each.median('rate'):,.0f}",
            _span(each, "rate", ",.0f"),
            f"{each.median('p50'):.2f}",
            _span(each, "p50", ".2f"),
            f"{each.median('p99'):.2f}",
            _span(each, "p99", ".2f"),
        )
        for each in points
    ]
    ends = ("device", "server", "controller")
    means = [
        (
            f"{each.size:,}",
            f"{each.median('together'):,.3g}",
            *(f"{each.median(f'{end}_cpu'):,.1f} µs" for end in ends),
            *(f"{each.median(end):.1f}" for end in ends),
        )
        for each in points
    ]
    head = (size, "readings a second", "rounds", "p50, ms", "rounds", "p99, ms", "rounds")
    cost = ("device's CPU a reading", "Prosody's", "controller's", "MB a device", "Prosody", "controller")
    return (
        f"{table(head, rates)}\n{table((size, 'readings a pack, measured', *cost), means)}\n"
        f"{_growth_table(points, size)}\n{_verdicts(points)}"
    )


def growth(points: Sequence[Point]) -> dict[str, list[float]]:
    """The exponents of each figure's median, from each size to the next."""
    found = {COST: [-each for each in exponents(points, "rate")]}
    return {**found, **{name: exponents(points, what) for name, what in _FIGURES.items()}}


def _growth_table(points: Sequence[Point], size: str) -> str:
    found = growth(points)
    rows = [
        (f"{before.size:,} → {after.size:,}", *(f"{each[step]:.2f}" for each in found.values()))
        for step, (before, after) in enumerate(pairwise(points))
    ]
    return table((f"growth, by {size}", *found), rows)


def _verdicts(points: Sequence[Point]) -> str:
    """Whether the medians grow no more than the size; of single repetitions the figure alone."""
    greatest = {what: max(each, default=0.0) for what, each in growth(points).items()}
    slowest = greatest.pop(SLOWEST)
    worst = max(greatest.values())
    single = max((-each for each in single_exponents(points, "rate")), default=0.0)
    return _paragraph(
        f"The greatest growth of a step is {worst:.2f}: {_verdict(worst)}."
        f" Of the latency's p99, which no other figure includes, it is {slowest:.2f}: {_verdict(slowest)}."
        f" Between single repetitions the greatest growth of the {COST} is {single:.2f}."
    )


def _verdict(exponent: float) -> str:
    return "no step is worse than linear" if exponent <= 1 else "**a step is worse than linear**"


def _span(point: Point, what: str, form: str) -> str:
    found = point.each(what)
    return f"{min(found):{form}} to {max(found):{form}}"


def _bounds(points: Sequence[Point], kind: Kind, cores: int) -> Iterable[str]:
    """What bounds each plot."""
    yield _paragraph(f"**Throughput.** {kind.throughput(points, cores)}")
    yield _paragraph(f"**Latency.** {kind.latency}")
    yield _paragraph(f"**Memory.** {kind.memory(points)}")


def _paragraph(text: str) -> str:
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def _plots(folder: Path, name: str, points: Sequence[Point], kind: Kind) -> str:
    def series(**wanted: str) -> dict[str, list[tuple[float, float]]]:
        return {
            label.replace("_", " "): [(each.size, each.median(what)) for each in points]
            for label, what in wanted.items()
        }

    plots = {
        "throughput": (series(committed="rate"), "readings a second"),
        "latency": (series(p50="p50", p99="p99"), "ms"),
        "memory": (series(a_device="device", controller="controller", Prosody="server"), "MB"),
    }
    shown = []
    for what, (drawn, unit) in plots.items():
        file = f"growth-{name}-{what}.svg"
        title = f"{kind.title}: {what}"
        lines(folder / file, drawn, Look(title=title, x=kind.size, y=unit))
        shown.append(f"![{title}]({folder.name}/{file})\n")
    return "".join(shown)
