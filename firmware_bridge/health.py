"""Whether a serial line is clean: damage and gaps are counted, and told when they are many. No I/O."""

from firmware_bridge.events import Counts

WINDOW = 60.0
"""Seconds over which damage is counted before it is judged."""

BAD_SHARE = 0.01
"""A line is bad once so much of what comes is damaged or missing in a window,"""

BAD_LEAST = 5
"""and at least so many;"""

GOOD_SHARE = 0.002
"""and good again once a whole window has no more than this."""


class Health:
    """Judges a line by what its session counted; slow to change its mind.

    Attributes:
        trouble: What is wrong, for people; empty while it is good.
    """

    def __init__(self, where: str, now: float) -> None:
        self.trouble = ""
        self._where = where
        self._since = now
        self._good = self._bad = 0

    def look(self, counts: Counts, now: float) -> bool:
        """Judges anew; whether the trouble is another now."""
        good = max(counts.frames + counts.lines - self._good, 0)
        bad = max(counts.damaged + counts.gaps - self._bad, 0)
        share = bad / max(good + bad, 1)
        over = now - self._since >= WINDOW
        before = self.trouble
        if bad >= BAD_LEAST and share > BAD_SHARE and (over or not before):
            self.trouble = (
                f"{self._where}: {bad} of {good + bad} messages were damaged or lost within"
                f" {max(now - self._since, 1.0):.0f} s; check the cable, the ground and the speed (baud)"
            )
        elif over and share <= GOOD_SHARE:
            self.trouble = ""
        if over:
            self._since = now
            self._good, self._bad = counts.frames + counts.lines, counts.damaged + counts.gaps
        return bool(before) != bool(self.trouble)


SUMMED_EVERY = 60.0
"""Seconds between two summaries of what a throttle holds back, at least."""


class Throttle:
    """Lets a few lines of a log through, and counts the rest for a summary now and then.

    Args:
        a_second: Lines a second in the long run.
        burst: Lines at once.
    """

    def __init__(self, a_second: float = 5.0, burst: float = 50.0) -> None:
        self._a_second, self._burst = a_second, burst
        self._left, self._at = burst, 0.0
        self._held = 0
        self._held_since = 0.0

    def passes(self, now: float) -> bool:
        """Whether this one goes through; if not, it is counted."""
        self._left = min(self._burst, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            if not self._held:
                self._held_since = now
            self._held += 1
            return False
        self._left -= 1
        return True

    def summary(self, now: float) -> int:
        """How many were held back since the last summary; 0 if none is due."""
        if not self._held or now - self._held_since < SUMMED_EVERY:
            return 0
        held, self._held = self._held, 0
        return held
