"""When to try again: exponential backoff with full jitter.

Full jitter (a uniform choice between nothing and the ceiling) spreads a fleet that lost its server at one
moment over the whole interval.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Backoff:
    """Delays between attempts.

    Attributes:
        first: The ceiling of the first delay, in seconds.
        longest: The ceiling that it grows to, doubling, in seconds.
        choose: Picks a number of seconds between two bounds; a test gives its own.
    """

    first: float = 1.0
    longest: float = 120.0
    choose: Callable[[float, float], float] = field(default=random.uniform)
    _failures: int = field(default=0, init=False)

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt."""
        ceiling = min(self.longest, self.first * 2 ** min(self._failures, 30))
        self._failures += 1
        return self.choose(0.0, ceiling)

    def longest_delay(self) -> float:
        """Seconds to wait where soon is no use: a refused password, a resource taken by another session."""
        return self.choose(self.longest / 2, self.longest)

    def ease(self) -> None:
        """Starts again near the first delay; for a link that worked, though not for long."""
        self._failures = min(self._failures, 1)

    def reset(self) -> None:
        """Starts again from the first delay; for a link that has been stable."""
        self._failures = 0
