"""Until when a call may start, by the wall clock and by the time since its receipt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """What the wall clock shows.

    Attributes:
        time: Seconds since 1970; None while it is not set.
        trusted: Whether it is kept right.
    """

    time: float | None
    trusted: bool


def system_now() -> Now:
    """A machine's clock that is kept right."""
    return Now(time=time.time(), trusted=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clocks:
    """The clocks that calls expire by.

    Attributes:
        wall: The wall clock.
        steady: Seconds that never jump, of any origin; time asleep counts.
    """

    wall: Callable[[], Now] = field(default=system_now)
    steady: Callable[[], float] = field(default=time.monotonic)


class Deadline:
    """Until when one call may start.

    A trusted clock is held to the call's expiry. A clock that is set but not kept right is held to it only
    where the call does not say how many seconds were left when it was sent.
    """

    def __init__(self, clocks: Clocks, *, expires: float | None, within: float | None) -> None:
        """Makes one, when the call comes.

        Args:
            clocks: The clocks.
            expires: The call's expiry, in seconds since 1970 (UTC); None for none.
            within: Seconds that were left when it was sent; None where it does not say.
        """
        self._clocks = clocks
        self._expires = expires
        self._ends = None if within is None else clocks.steady() + within

    def left(self) -> float | None:
        """Seconds until the call expires, 0 or less where it has; None where it never does."""
        lefts = [each for each in (self._by_wall(), self._by_receipt()) if each is not None]
        return min(lefts, default=None)

    @property
    def passed(self) -> bool:
        """Whether the call has expired."""
        left = self.left()
        return left is not None and left <= 0

    def _by_receipt(self) -> float | None:
        return None if self._ends is None else self._ends - self._clocks.steady()

    def _by_wall(self) -> float | None:
        if self._expires is None:
            return None
        now = self._clocks.wall()
        if self._ends is not None and not now.trusted:
            return None
        # Without any clock nobody can tell how old the call is: it must not start.
        return 0.0 if now.time is None else self._expires - now.time
