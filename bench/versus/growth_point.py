"""What growth is told by: a point is one size of one thing, with what each repetition measured there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one repetition measured.

    Attributes:
        rate: Readings a second until committed.
        together: Readings a pack, on average, while the rate was measured.
        p50: From `publish` to the handler, in ms.
        p99: Likewise.
        device_cpu: Processor time of the agents for each reading of the rate, in µs.
        server_cpu: Likewise of Prosody.
        controller_cpu: Likewise of the controller.
        other_cores: How many cores all else on the machine kept busy meanwhile.
        device: Memory for each agent, in MB.
        controller: The controller's memory, in MB.
        server: Prosody's memory, in MB.
    """

    rate: float
    together: float
    p50: float
    p99: float
    device_cpu: float
    server_cpu: float
    controller_cpu: float
    other_cores: float
    device: float
    controller: float
    server: float

    @property
    def device_cores(self) -> float:
        """How many cores the agents kept busy while the rate was measured."""
        return self.device_cpu * self.rate / 1e6

    @property
    def server_cores(self) -> float:
        """Likewise Prosody."""
        return self.server_cpu * self.rate / 1e6

    @property
    def controller_cores(self) -> float:
        """Likewise the controller."""
        return self.controller_cpu * self.rate / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One size of a thing that grows.

    Attributes:
        size: How large it is.
        processes: Processes that the agents share.
        samples: What the repetitions measured, in their order.
    """

    size: int
    processes: int = 1
    samples: Sequence[Sample]

    def median(self, what: str) -> float:
        """The median of a figure of the samples, by its name."""
        return median(self.each(what))

    def each(self, what: str) -> list[float]:
        """The figure of each repetition."""
        return [float(getattr(sample, what)) for sample in self.samples]

    def kept(self) -> dict[str, Any]:
        """As it is kept in JSON."""
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Point":
        """From its JSON."""
        samples = [Sample(**sample) for sample in kept["samples"]]
        return cls(size=kept["size"], processes=kept["processes"], samples=samples)


def exponents(points: Sequence[Point], what: str) -> list[float]:
    """How a figure's median grows from each size to the next: 1 is in proportion, 0 is not at all."""
    return [
        _exponent(before, after, before.median(what), after.median(what))
        for before, after in pairwise(points)
    ]


def single_exponents(points: Sequence[Point], what: str) -> list[float]:
    """Likewise of each repetition alone, against the same repetition of the size before."""
    return [
        _exponent(before, after, *figures)
        for before, after in pairwise(points)
        for figures in zip(before.each(what), after.each(what), strict=True)
    ]


def _exponent(before: Point, after: Point, small: float, large: float) -> float:
    return math.log(large / small) / math.log(after.size / before.size)
