"""How soon a session gets its next ack: at once while few sessions are told, seldom while many are.

A device gives a live reading out when those before it are acknowledged, or on its disk: a prompt ack is what
makes a steady device quick. But an ack costs as much as a small pack.
"""

EVERY = 0.1
"""Seconds between two acks to one session, at least, where very many sessions are told."""

LEAST = 0.02
"""Likewise where few are: as long as readings gather under load. Each pack is a commit of a disk or card."""

MOST_A_SECOND = 500
"""Acks in a second, to all sessions together, that `LEAST` gives way for."""

_WINDOW = 1.0


class AckPace:
    """The pace of all acks of a controller.

    Times are seconds by the monotonic clock.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._before = 0
        self._since = 0.0

    def told(self, session: str, now: float) -> None:
        """A session gets an ack now."""
        if now >= self._since + _WINDOW:
            self._before = len(self._told) if now < self._since + 2 * _WINDOW else 0
            self._told.clear()
            self._since = now
        self._told.add(session)

    def between(self) -> float:
        """Seconds between two acks to one session."""
        sessions = max(self._before, len(self._told))
        return min(EVERY, max(LEAST, sessions / MOST_A_SECOND))
