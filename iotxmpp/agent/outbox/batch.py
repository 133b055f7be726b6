"""What is committed together, and how often one reading alone may be."""

import asyncio
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from iotxmpp.agent.outbox.rows import Row

SINGLES = 100
"""Commits that may be made at once for a task that alone waited for the last one.

That is a loop that writes and waits: waiting for others would only slow it down.
"""

SINGLES_A_SECOND = 20.0
"""So many of them each second gives back: no such loop wears the disk out."""


class Allowance:
    """How many commits for one alone may still be made."""

    def __init__(self) -> None:
        self._left, self._since = float(SINGLES), time.monotonic()

    def spend(self) -> bool:
        """Whether one is left; it is not any more then."""
        now = time.monotonic()
        self._left = min(SINGLES, self._left + (now - self._since) * SINGLES_A_SECOND)
        self._since = now
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
