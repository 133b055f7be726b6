"""Until when queued commands may start: by the wall clock, and by one that nobody sets."""

import heapq
import time
from collections.abc import Callable
from math import inf

LOOK_EVERY = 30.0
"""Seconds after which the wall clock is looked at again: somebody may have set it ahead."""


def steady() -> float:
    """Seconds that nobody sets, time asleep included."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Expiry:
    """Until when one command may start.

    Args:
        expires: The same by the wall clock, in seconds since 1970.
        not_before: What the wall clock showed already, whatever it shows now: it may have been set back.
        clock: Gives seconds that nobody sets.
    """

    def __init__(
        self, expires: float, *, not_before: float = 0.0, clock: Callable[[], float] = steady
    ) -> None:
        self.wall = expires
        self._clock = clock
        self.steady = clock() + expires - max(time.time(), not_before)

    def left(self) -> float:
        """Seconds that are left, 0 or less where none are."""
        return min(self.wall - time.time(), self.steady - self._clock())


class Expiries:
    """Which commands expire next, by either clock.

    Args:
        clock: Gives seconds that nobody sets.
    """

    def __init__(self, clock: Callable[[], float] = steady) -> None:
        self._clock = clock
        self._by_wall: list[tuple[float, str]] = []
        self._by_steady: list[tuple[float, str]] = []

    def put(self, id_: str, expiry: Expiry) -> None:
        """One more command."""
        heapq.heappush(self._by_wall, (expiry.wall, id_))
        heapq.heappush(self._by_steady, (expiry.steady, id_))

    def due(self) -> str | None:
        """A command whose time is over; the same until it is taken. None where there is none."""
        for heap, now in self._heaps():
            if heap and heap[0][0] <= now:
                return heap[0][1]
        return None

    def take(self, id_: str) -> None:
        """The command that is due was dealt with."""
        for heap, now in self._heaps():
            if heap and heap[0][1] == id_ and heap[0][0] <= now:
                heapq.heappop(heap)

    def nap(self) -> float:
        """Seconds after which to look again."""
        first = min((heap[0][0] - now for heap, now in self._heaps() if heap), default=inf)
        return max(0.0, min(first, LOOK_EVERY))

    def _heaps(self) -> tuple[tuple[list[tuple[float, str]], float], ...]:
        return (self._by_wall, time.time()), (self._by_steady, self._clock())
