"""What a comparison found: figures with their goals, and the text that shows how they came about."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """One figure that has a goal, or stands beside those that have one.

    Attributes:
        name: What is measured, for people.
        value: The figure.
        unit: `times`, or what it is measured in.
        bound: What it should reach; None where there is no goal, and no verdict.
        least: Whether the figure should be at least so much; else at most.
        basis: What the ratio was made of, such as both medians.
    """

    name: str
    value: float
    unit: str
    bound: float | None
    least: bool
    basis: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where there is no goal."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.least else self.value <= self.bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one part found.

    Attributes:
        goals: Its figures with goals.
        text: Its section of the page.
        figures: What plots are drawn from.
    """

    goals: Sequence[Goal]
    text: str
    figures: dict[str, Any]

    def kept(self) -> dict[str, Any]:
        """As it is kept in JSON."""
        return asdict(self)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> "Outcome":
        """From its JSON."""
        return cls(goals=[Goal(**goal) for goal in kept["goals"]], text=kept["text"], figures=kept["figures"])
