"""Until when a call may start, by the wall clock and by the time since its receipt."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

AGREES: Final = 120.0
"""Seconds by which a clock that is not kept right may differ from the sender's, and still be believed."""


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

    A clock that is kept right is held to the call's expiry. One that is set and not kept right is held to it,
    too, unless it is plainly wrong: the call says when it was sent, by its expiry and the seconds that were
    left then, and that is far from when it came. One that was never set is held to nothing; a call that gives
    no seconds must not start then.
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
        self._within = within
        self._came = clocks.steady()

    def left(self) -> float | None:
        """Seconds until the call expires, 0 or less where it has; None where it never does."""
        by_wall, by_receipt = self._by_wall(), self._by_receipt()
        if by_wall is None or by_receipt is None:
            return by_receipt if by_wall is None else by_wall
        return min(by_wall, by_receipt)

    @property
    def passed(self) -> bool:
        """Whether the call has expired."""
        left = self.left()
        return left is not None and left <= 0

    def _by_receipt(self) -> float | None:
        return None if self._within is None else self._within - self._waited()

    def _by_wall(self) -> float | None:
        if self._expires is None:
            return None
        now = self._clocks.wall()
        if now.time is None:
            # Without any clock nobody can tell how old the call is: it must not start.
            return 0.0 if self._within is None else None
        if self._within is not None and not now.trusted:
            sent, came = self._expires - self._within, now.time - self._waited()
            if abs(came - sent) > AGREES:
                return None
        return self._expires - now.time

    def _waited(self) -> float:
        return self._clocks.steady() - self._came
