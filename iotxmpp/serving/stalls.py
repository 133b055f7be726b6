"""Notices that this process was stopped, or its machine suspended: what is read then may be old."""

import asyncio
from collections.abc import Callable
from typing import Final

EVERY: Final = 5.0
"""Seconds from one look at the clock to the next."""

STALLED: Final = 10.0
"""Seconds from one look to the next from which on it was stopped meanwhile."""

BACKLOG: Final = 5.0
"""Seconds after a stop within which what comes may have waited for its end."""

LONGEST: Final = 30.0
"""Seconds that a call without an expiry may have waited so."""


class Stalls:
    """How long this process was away, for those who ask soon after."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Makes it.

        Args:
            clock: Gives seconds that nobody sets, time asleep included: a stop stops neither it nor those who
                write meanwhile.
        """
        self._clock = clock
        self._looked = clock()
        self._away = 0.0
        self._back = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Looks at the clock from now on."""
        self._looked = self._clock()
        self._tick()

    def stop(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def away(self) -> float:
        """Seconds that what is read now may have waited while this process was stopped; 0 for none.

        Whoever reads may come before the next look, so this looks, too.
        """
        self._look()
        return self._away if self._clock() - self._back <= BACKLOG else 0.0

    def _tick(self) -> None:
        self._look()
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._tick)

    def _look(self) -> None:
        now, since = self._clock(), self._looked
        self._looked = now
        if now - since < STALLED or self._timer is None:  # nobody looked where no timer runs
            return
        again = since - self._back <= BACKLOG
        self._away = now - since + (self._away if again else 0.0)
        self._back = now


def within_of(away: float, expires: float | None, within: float | None) -> float | None:
    """Within how many seconds a program's call must start: as it says, and if it says nothing, not late."""
    if not away or expires is not None or within is not None:
        return within
    return LONGEST - away


def sorry(away: float) -> str:
    """What people are told who wrote meanwhile."""
    return f"I was away for {away:.0f} s, so nothing was done; ask again."
