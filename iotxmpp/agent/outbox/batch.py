"""What is committed together, and how often one reading alone may be."""

import asyncio
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from iotxmpp.agent.outbox.rows import Row

ENOUGH = 24
"""Readings that are worth a commit by themselves: each costs under 600 bytes of writing then."""

AT_ONCE = 0.01
"""Seconds within which tasks come back that write and wait all the time, without a pause of their own."""

SINGLES = 2000
"""Commits of fewer readings that may be made at once for tasks that write and wait.

Waiting for others would only slow them down.
"""

SINGLES_A_SECOND = 20.0
"""So many of them each second gives back: no such loop wears the disk out."""


class Rounds:
    """Tells whether all tasks that waited for the last commit wait again: nobody else is about to come."""

    def __init__(self) -> None:
        self._away: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._several = False
        self._since = float("-inf")
        self._left, self._counted = float(SINGLES), time.monotonic()

    def begin(self, waited: "WeakSet[asyncio.Task[Any]]") -> None:
        """These tasks go on now, for what they waited for is committed."""
        self._away = waited
        self._several = len(waited) > 1
        self._since = time.monotonic()

    def complete(self, task: asyncio.Task[Any], readings: int) -> bool:
        """Whether with this one all are back, and so many readings may be committed for them at once."""
        if task not in self._away:
            return False
        self._away.discard(task)
        if self._away:
            return False
        if readings >= ENOUGH:
            return True
        paused = time.monotonic() - self._since > AT_ONCE
        return not (self._several and paused) and self._spend()

    def _spend(self) -> bool:
        now = time.monotonic()
        self._left = min(SINGLES, self._left + (now - self._counted) * SINGLES_A_SECOND)
        self._counted = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Batch:
    """Readings that are committed together, and who waits for that."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.bytes = 0
        self.waiting: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
