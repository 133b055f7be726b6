"""What is committed together, and how often one reading alone may be."""

import asyncio
import time
from bisect import bisect_right
from operator import attrgetter
from typing import Any

from iotxmpp.agent.outbox.rows import Row, size_of_all

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

_PLACE = attrgetter("place")


class Rounds:
    """Tells whether all tasks that waited for the last commit wait again: nobody else is about to come."""

    def __init__(self) -> None:
        self._away: set[asyncio.Task[Any]] = set()
        self._order: list[asyncio.Task[Any]] = []
        self._several = False
        self._since = float("-inf")
        self._left, self._counted = float(SINGLES), time.monotonic()

    def begin(self, waited: "list[asyncio.Task[Any]]") -> None:
        """These tasks go on now, for what they waited for is committed."""
        self._away, self._order = set(waited), waited
        self._several = len(self._away) > 1
        self._since = time.monotonic()

    def complete(self, task: asyncio.Task[Any], readings: int, *, spare: bool = False) -> bool:
        """Whether with this one all are back, and so many readings may be committed for them at once.

        Those of tasks that pause in between can be spared, where an ack is likely to come before.
        """
        if task not in self._away:
            return False
        self._away.discard(task)
        while self._order and (self._order[-1] not in self._away or self._order[-1].done()):
            self._away.discard(self._order.pop())
        if self._order:  # somebody is still to come, and has not ended
            return False
        if readings >= ENOUGH:
            return True
        paused = time.monotonic() - self._since > AT_ONCE
        return not ((self._several or spare) and paused) and self._spend()

    def _spend(self) -> bool:
        now = time.monotonic()
        self._left = min(SINGLES, self._left + (now - self._counted) * SINGLES_A_SECOND)
        self._counted = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Batch:
    """Readings that are committed together, and who waits for that.

    Attributes:
        rows: The readings, ascending by place.
        bytes: About how much they take.
        tasks: The tasks that wait.
        is_scheduled: It is settled when it is committed at the latest.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.bytes = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.is_scheduled = False
        self._places: list[int] = []
        self._futures: list[asyncio.Future[None]] = []
        self._ended = 0

    def wait(self, place: int, future: "asyncio.Future[None]") -> None:
        """This future ends with the commit, or with the ack of that place; places do not descend."""
        self._places.append(place)
        self._futures.append(future)

    def acknowledged(self, upto: int) -> None:
        """The collector has the readings up to a place: who waits for those goes on."""
        while self._ended < len(self._places) and self._places[self._ended] <= upto:
            future = self._futures[self._ended]
            self._ended += 1
            if not future.done():
                future.set_result(None)

    def forget(self, upto: int) -> bool:
        """Drops the readings up to a place, which need not be written; whether there were any."""
        count = bisect_right(self.rows, upto, key=_PLACE)
        if not count:
            return False
        self.bytes -= size_of_all([row.value for row in self.rows[:count]])
        del self.rows[:count]
        return True

    def unsettled(self, upto: int) -> int:
        """How many of its readings stand after a place."""
        return max(0, self.rows[-1].place - max(upto, self.rows[0].place - 1)) if self.rows else 0

    def end(self, error: BaseException | None = None) -> None:
        """It is committed, or could not be: all who wait go on."""
        for future in self._futures[self._ended :]:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        self._ended = len(self._futures)
