"""Plots of a device's history: in the terminal, and as a PNG picture."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import typer

from iotxmpp.cli.output import plain_text
from iotxmpp.controller.store import Entry, Summary
from iotxmpp.errors import ArgumentsError, ConfigError, IotxmppError
from iotxmpp.readings import Reading
from iotxmpp.units import shown_unit

BINS = 1000
"""Points of a curve; so much memory does each channel take, however long the time is."""

MOST = 12
"""Channels of one plot."""

_HEIGHT = 15
_NARROWEST = 40
_TICKS = 5


@dataclass(slots=True)
class Point:
    """What one bin of a curve holds: when its first value was, and the mean, least and greatest of all."""

    time: float
    count: int
    mean: float
    least: float
    greatest: float

    def add(self, count: int, mean: float, least: float, greatest: float) -> None:
        """Adds a value, or a summary of many."""
        self.count += count
        self.mean += (mean - self.mean) * (count / self.count)
        self.least = min(self.least, least)
        self.greatest = max(self.greatest, greatest)


@dataclass(slots=True)
class Curve:
    """The values of one channel in one unit; `points` has them by the number of their bin."""

    title: str
    points: dict[int, Point] = field(default_factory=dict)

    @property
    def in_order(self) -> list[Point]:
        """The points in time order."""
        return [self.points[number] for number in sorted(self.points)]


Curves = Mapping[tuple[str, str | None], Curve]


def curves(entries: Iterable[Entry], device: str, span: tuple[float, float]) -> Curves:
    """The curves of all numbers; truth values are 0 and 1.

    Raises:
        IotxmppError: There is no number.
        ArgumentsError: There are too many channels.
    """
    found: dict[tuple[str, str | None], Curve] = {}
    width = (span[1] - span[0]) / BINS
    for entry in entries:
        match entry:
            case Summary():
                values = entry.count, entry.mean, entry.least, entry.greatest
            case Reading() if not isinstance(entry.value, str):
                number = float(entry.value)
                values = 1, number, number, number
            case _:
                continue
        key = entry.channel, entry.unit
        if key not in found:
            found[key] = Curve(_title(*key))
        points = found[key].points
        number_of_bin = int((entry.time - span[0]) // width)
        if number_of_bin in points:
            points[number_of_bin].add(*values)
        else:
            points[number_of_bin] = Point(entry.time, *values)
    if not found:
        raise IotxmppError(f"{device}: no number in that time, nothing to plot")
    if len(found) > MOST:
        names = ", ".join(sorted({plain_text(name) for name, _ in found}))
        raise ArgumentsError(
            f"{device}: {len(found)} channels are too many for one plot; name one of {names}"
        )
    return found


def plot_in_terminal(found: Curves, device: str) -> None:
    """Prints a plot of each curve.

    Raises:
        ConfigError: plotext is not installed.
    """
    try:
        import plotext  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(f"--plot: {error}; run: pip install 'iotxmpp[plot]'") from error
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    for curve in found.values():
        points = curve.in_order
        plotext.clear_figure()
        plotext.plotsize(width, _HEIGHT)
        plotext.title(f"{device} {curve.title}")
        plotext.plot([each.time for each in points], [each.mean for each in points], marker="braille")
        first, last = points[0].time, points[-1].time
        ticks = [first + (last - first) * step / (_TICKS - 1) for step in range(_TICKS)]
        form = "%H:%M:%S" if last - first < 86400 else "%m-%d %H:%M"  # noqa: PLR2004  # a day
        plotext.xticks(ticks, [f"{datetime.fromtimestamp(each).astimezone():{form}}" for each in ticks])
        typer.echo(plotext.uncolorize(plotext.build()))


def plot_into_png(found: Curves, device: str, path: Path) -> None:
    """Writes a picture of all curves, with the span from the least to the greatest value behind each.

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(f"--png: {error}; run: pip install 'iotxmpp[png]'") from error
    figure = Figure(figsize=(10, 1 + 2.5 * len(found)), layout="constrained")
    figure.suptitle(device, parse_math=False)
    all_axes = figure.subplots(len(found), sharex=True, squeeze=False)[:, 0]
    for axes, curve in zip(all_axes, found.values(), strict=True):
        points = curve.in_order
        times = [datetime.fromtimestamp(each.time).astimezone() for each in points]
        axes.fill_between(
            times, [each.least for each in points], [each.greatest for each in points], alpha=0.3, linewidth=0
        )
        axes.plot(times, [each.mean for each in points], marker="." if len(points) == 1 else None)
        axes.set_title(curve.title, parse_math=False)
        axes.grid(visible=True, alpha=0.3)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise ConfigError(f"--png {path}: {error.strerror}") from error


def _title(channel: str, unit: str | None) -> str:
    shown = shown_unit(unit)
    return plain_text(f"{channel} ({shown})" if shown else channel)
