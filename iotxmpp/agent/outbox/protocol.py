"""What an outbox does; on disk and in memory alike."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from iotxmpp.agent.outbox.rows import DeadLetter, Epoch, Loss, Row, Stock
from iotxmpp.delivery import GapReason

Span = tuple[int, int]
"""The first and the last of a run of places."""


class Found(Protocol):
    """What could be read of a damaged file, with the places that it has in the new one; ascending."""

    def losses(self) -> Iterable[Loss]:
        """Its losses."""

    def readings(self) -> Iterable[Sequence[Row]]:
        """Its sound readings, some at a time."""

    def letters(self) -> Iterable[DeadLetter]:
        """Its sound dead letters."""


class Outbox(Protocol):
    """Keeps readings until they are trimmed. Its calls block, and come from one thread.

    Each call that changes something is one transaction: done as a whole when it returns, or not at all when
    it raises `sqlite3.Error`.

    Attributes:
        stock: What it holds.
    """

    stock: Stock

    def epochs(self) -> list[Epoch]:
        """The epochs of which it holds something, and the current one."""
        ...

    def begin(self, epoch: Epoch) -> None:
        """Makes an epoch known."""
        ...

    def next_epoch(self) -> int:
        """An id for a new epoch."""
        ...

    def set_offset(self, boot: str, offset: float) -> None:
        """The clock was set in that run of the system: so much to add to its uptime."""
        ...

    def write(
        self,
        rows: Sequence[Row] = (),
        *,
        trims: Iterable[Span] = (),
        revived: Iterable[int] = (),
        now: float | None = None,
    ) -> None:
        """Keeps readings, and makes room for them.

        Args:
            rows: The readings, ascending by place.
            trims: The readings and losses of these places are done with.
            revived: Places of dead letters that are among the rows anew.
            now: Seconds since 1970 by a synchronised clock; None where there is none, and nothing ages.
        """
        ...

    def absorb(self, rows: Sequence[Row], losses: Sequence[Loss], letters: Sequence[DeadLetter]) -> None:
        """Keeps what was kept elsewhere; what it has already stays as it is."""
        ...

    def page(self, first: int, last: int, most: int) -> list[Row]:
        """The first readings between two places, both included."""
        ...

    def losses(self, after: int, most: int) -> list[Loss]:
        """Losses with a greater id, ascending."""
        ...

    def lose(self, first: int, last: int, reason: GapReason) -> None:
        """Notes that these places will never be published."""
        ...

    def bury(self, first: int, last: int, reason: str) -> None:
        """Makes dead letters of the readings between two places."""
        ...

    def letters(self, *, retry: bool = False) -> list[DeadLetter]:
        """The dead letters, the oldest first; with `retry` only those that are to be tried again."""
        ...

    def close(self) -> None:
        """Closes it."""
        ...
