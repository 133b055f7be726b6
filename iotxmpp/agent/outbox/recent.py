"""Readings in memory: those that were taken last, and those that were read from the disk in advance."""

from collections import deque
from collections.abc import Sequence
from itertools import islice, repeat

from iotxmpp.agent.outbox.rows import Row

MOST_RECENT = 15_000
"""Readings that are kept so at most, in 3 MB: those of 150 tasks that each hand over a hundred.

What is published next goes first when there are too many, so a device that is always further behind reads
all its packs from the disk.
"""

MOST_RECENT_TEXT = 256 * 1024
"""Characters in those of them that are text, at most."""


class Recent:
    """Readings with consecutive places, until they are given out; the oldest go if there are too many.

    What went is on disk, or soon will be.
    """

    def __init__(self, most: int = MOST_RECENT, most_text: int = MOST_RECENT_TEXT) -> None:
        self._rows: deque[Row] = deque()
        self._most = most
        self._room = most_text

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def first(self) -> int | None:
        """The place of the first one."""
        return self._rows[0].place if self._rows else None

    def add(self, rows: Sequence[Row]) -> None:
        """Remembers the next ones."""
        self._rows.extend(rows)
        for row in rows:
            if type(row.value) is str:
                self._room -= len(row.value)
        if len(self._rows) > self._most:
            self._drop(len(self._rows) - self._most)
        while self._room < 0:
            self._drop(1)

    def forget(self, upto: int) -> None:
        """Forgets those up to a place."""
        if self._rows and self._rows[0].place <= upto:
            self._drop(min(upto + 1 - self._rows[0].place, len(self._rows)))

    def rows(self, first: int, last: int, most: int) -> list[Row] | None:
        """So many between two places; None where the first of them is not here."""
        rows = self._rows
        if not rows or not rows[0].place <= first <= rows[-1].place:
            return None
        start = first - rows[0].place
        end = min(start + most, last + 1 - rows[0].place)
        return list(islice(rows, start, max(start, end)))

    def _drop(self, count: int) -> None:
        """Forgets so many of the first."""
        drop = self._rows.popleft
        for _ in repeat(None, count):
            value = drop().value
            if type(value) is str:
                self._room += len(value)


class Ahead:
    """Readings that were read from the disk with those before them, for their turn is next.

    To ask the disk's thread costs a device more than to read a small pack. They may have holes among their
    places.

    Attributes:
        reached: What was read ends with this place.
    """

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._first = 0
        self.reached = -1

    def __len__(self) -> int:
        return len(self._rows)

    def go_to(self, first: int) -> None:
        """They are wanted from a place on; those before it are forgotten."""
        if not self._first <= first <= self.reached + 1:
            self._rows.clear()
            self.reached = first - 1
        self._first = first
        while self._rows and self._rows[0].place < first:
            self._rows.popleft()

    def add(self, rows: Sequence[Row], reached: int) -> None:
        """These follow, up to a place."""
        self._rows.extend(rows)
        self.reached = reached

    def rows(self, most: int) -> list[Row]:
        """So many of them."""
        return list(islice(self._rows, most))

    def forget(self) -> None:
        """Forgets all of them: the file may say otherwise now."""
        self._rows.clear()
        self._first, self.reached = 0, -1
