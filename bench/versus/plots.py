"""The plots of the page, as SVG that is the same for the same figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

Points = Sequence[tuple[float, float]]

_SIZE = (7.0, 3.6)
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "iotxmpp", "svg.fonttype": "none", "font.size": 9.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How a plot is labelled.

    Attributes:
        title: Its title.
        x: What goes to the right, with its unit.
        y: What goes up, with its unit.
        diagonal: Whether a line shows where both are equal.
        linear: Whether the right is counted linearly; else by powers of ten.
    """

    title: str
    x: str
    y: str
    diagonal: bool = False
    linear: bool = False


def lines(path: Path, series: Mapping[str, Points], look: Look) -> None:
    """Draws one line for each series, with both directions by powers of ten."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for name, points in series.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
        if not look.linear:
            axes.set_xscale("log")
        axes.set_yscale("log")
        heights = [y for points in series.values() for _, y in points]
        bottom, top = math.floor(math.log10(min(heights))), math.ceil(math.log10(max(heights)))
        axes.set_ylim(10**bottom, 10 ** max(top, bottom + 1))
        if look.diagonal:
            most = max(x for points in series.values() for x, _ in points)
            least = min(x for points in series.values() for x, _ in points)
            axes.plot([least, most], [least, most], linestyle=":", color="grey", label="as offered")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_minor_formatter("")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend()
        _finish(figure, axes, look, path)


def bars(path: Path, values: Mapping[str, float], look: Look) -> None:
    """Draws one bar for each value, with its number."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        names = list(values)[::-1]
        drawn = axes.barh(names, [values[name] for name in names], color="tab:blue")
        axes.bar_label(drawn, fmt="{:,.0f}", padding=3)
        axes.margins(x=0.15)
        _finish(figure, axes, look, path)


def _finish(figure: Figure, axes: Axes, look: Look, path: Path) -> None:
    axes.set_title(look.title)
    axes.set_xlabel(look.x)
    axes.set_ylabel(look.y)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    lines = [line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
