"""What a board said last of each channel: given again while it may be so, and forgotten in time. No I/O."""

import errno
from collections.abc import Collection, Iterable, Mapping

from iotxmpp.readings import Value

FRESH = 60.0
"""Seconds that a number is given again as what is known; and a state, since the board was heard last."""

BAD_AFTER = 3
"""Values in a row that are no numbers after which a channel fails; some sensors miss one now and then."""

_BAD = (
    f"the board gives nan or inf instead of a value, {BAD_AFTER} times in a row or more; check the sensor"
    " and its wiring"
)


class LastValues:
    """What is known of a board's channels; an event is over when it has happened, and is not kept here.

    Args:
        numbers: The channels that are numbers; a number is known for a while, a state as long as the board is
            heard.
        silence: Seconds after which a number without a new value is a problem; 0 for never.
    """

    def __init__(self, numbers: Collection[str], silence: float) -> None:
        self._numbers = frozenset(numbers)
        self._silence = silence
        self._last: dict[str, tuple[Value | None, float]] = {}
        self._bad: dict[str, tuple[int, float]] = {}
        self._happened = False

    def __len__(self) -> int:
        """How many channels had a value."""
        return len(self._last)

    def measures(self, name: str) -> bool:
        """Whether the board gives numbers of this channel, good or bad ones."""
        return name in self._numbers and (name in self._last or name in self._bad)

    def happen(self) -> None:
        """The board told an event: it is not silent, though it may give no values."""
        self._happened = True

    def take(self, values: Mapping[str, Value], now: float) -> None:
        """The board gave these."""
        for name, value in values.items():
            self._last[name] = (value, now)
            self._bad.pop(name, None)

    def drop(self, names: Iterable[str], now: float) -> dict[str, OSError]:
        """The board gave what is no number for these; what it gave before holds no longer.

        Returns:
            Those that fail from now on, with why.
        """
        failing = {}
        for name in names:
            count = self._bad.get(name, (0, now))[0] + 1
            self._bad[name] = (count, now)
            if name in self._last:
                self._last[name] = (None, self._last[name][1])
            if count == BAD_AFTER:
                failing[name] = _bad()
        return failing

    def forget(self) -> None:
        """The board started anew, or is another: nothing is known until it says it again."""
        self._last = {name: (None, at) for name, (_, at) in self._last.items()}
        self._bad.clear()

    def known(self, now: float, *, served: float, heard: float) -> dict[str, Value | OSError]:
        """What may be given again, and why a channel gives nothing.

        Args:
            now: The time, as all times here by a clock that never goes back.
            served: When the board was chosen.
            heard: When it said anything last.
        """
        known: dict[str, Value | OSError] = {}
        if self._silence and not (self._last or self._happened) and now - served > self._silence:
            known |= {name: _silent(now - served) for name in self._numbers}
        for name, (value, at) in self._last.items():
            age = now - at
            if name in self._numbers and self._silence and age > self._silence:
                known[name] = _silent(age)
            elif value is not None and (age if name in self._numbers else now - heard) <= FRESH:
                known[name] = value
        for name, (count, at) in self._bad.items():
            if count >= BAD_AFTER and not (self._silence and now - at > self._silence):
                known[name] = _bad()
        return known


def _bad() -> OSError:
    return OSError(errno.EIO, _BAD)


def _silent(seconds: float) -> OSError:
    return OSError(errno.ETIMEDOUT, f"the board has not given it for {seconds:.0f} s; look after the board")
