"""Measured times, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

_NS_IN_MS = 1e6


@dataclass(kw_only=True)
class Series:
    """The times of one measurement.

    Attributes:
        name: What was measured, for people.
        goal: The p50 to reach, in milliseconds; None for none.
        ratio_goal: How many times the first series's p50 it may take; None for no such goal.
        repetitions: The times in milliseconds, a list for each repetition.
    """

    name: str
    goal: float | None = None
    ratio_goal: float | None = None
    repetitions: list[list[float]] = field(default_factory=list)

    def begin(self) -> None:
        """Begins the next repetition."""
        self.repetitions.append([])

    def add(self, nanoseconds: int) -> None:
        """Takes one time."""
        self.repetitions[-1].append(nanoseconds / _NS_IN_MS)

    @property
    def all(self) -> list[float]:
        """The times of all repetitions."""
        return [time for repetition in self.repetitions for time in repetition]

    @property
    def medians(self) -> list[float]:
        """The median of each repetition."""
        return [median(repetition) for repetition in self.repetitions]

    def percentile(self, percent: float) -> float:
        """The time that so many percent of all do not exceed."""
        return percentile(self.all, percent)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed, interpolated between its neighbours."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
