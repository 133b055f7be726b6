"""The readings that were taken last, in memory: what is published live need not be read from the disk."""

from collections import deque

from iotxmpp.agent.outbox.rows import Row

MOST_RECENT = 4000
"""Readings that are kept so at most: some packs."""

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

    def add(self, row: Row) -> None:
        """Remembers the next one."""
        self._rows.append(row)
        if isinstance(row.value, str):
            self._room -= len(row.value)
        while self._room < 0 or len(self._rows) > self._most:
            self._drop()

    def forget(self, upto: int) -> None:
        """Forgets those up to a place."""
        while self._rows and self._rows[0].place <= upto:
            self._drop()

    def rows(self, first: int, last: int, most: int) -> list[Row] | None:
        """So many between two places; None where the first of them is not here."""
        rows = self._rows
        if not rows or not rows[0].place <= first <= rows[-1].place:
            return None
        start = first - rows[0].place
        end = min(start + most, last + 1 - rows[0].place, len(rows))
        return [rows[index] for index in range(start, end)]

    def _drop(self) -> None:
        value = self._rows.popleft().value
        if isinstance(value, str):
            self._room += len(value)
