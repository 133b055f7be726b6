"""How soon a session gets its next ack: at once while there are few acks in all, seldom while there are many.

A device gives a live reading out when those before it are acknowledged, or on its disk: a prompt ack is what
makes a steady device quick. But an ack costs as much as a small pack.
"""

EVERY = 0.1
"""Seconds between two acks to one session, at least, where very many are told all the time."""

LEAST = 0.02
"""Likewise where few are: as long as readings gather under load. Each pack is a commit of a disk or card."""

MOST_A_SECOND = 1000
"""Acks in a second, to all sessions together, that `LEAST` gives way for."""

_WINDOW = 1.0


class AckPace:
    """The pace of all acks of a controller: what they are together, not how many sessions there are, counts.

    Times are seconds by the monotonic clock.
    """

    def __init__(self) -> None:
        self._between = LEAST
        self._count = 0
        self._since = float("-inf")

    def told(self, now: float) -> None:
        """A session gets an ack now."""
        self._count += 1
        took = now - self._since
        if took >= _WINDOW or self._count >= MOST_A_SECOND:
            # Sessions that always have something to be told get so many fewer; others leave it to them.
            share = self._count / (MOST_A_SECOND * max(took, LEAST))
            self._between = min(EVERY, max(LEAST, self._between * share))
            self._count, self._since = 0, now

    def between(self) -> float:
        """Seconds between two acks to one session."""
        return self._between
