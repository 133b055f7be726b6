"""What growth is told by: a point is one size of one thing, with what it costs."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One size of a thing that grows.

    Attributes:
        size: How large it is.
        rate: Readings a second until committed.
        p50: From `publish` to the handler, in ms.
        p99: Likewise.
        device: Memory for each agent, in MB.
        controller: The controller's memory, in MB.
        server: Prosody's memory, in MB.
    """

    size: int
    rate: float
    p50: float
    p99: float
    device: float
    controller: float
    server: float

    def kept(self) -> dict[str, Any]:
        """As it is kept in JSON."""
        return asdict(self)


def exponents(points: Sequence[Point], what: str) -> list[float]:
    """How a figure grows from each size to the next: 1 is in proportion, 0 is not at all."""
    return [
        math.log(getattr(after, what) / getattr(before, what)) / math.log(after.size / before.size)
        for before, after in pairwise(points)
        if before.size
    ]
