"""The twins' rows of a controller's store, read and written off the loop."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from iotxmpp.controller.store.twin import TwinRows

T = TypeVar("T")
Between = Callable[[Callable[[], T]], Awaitable[T]]


class Ledger:
    """The twins' rows, off the loop.

    Args:
        rows: The rows; None for a controller that keeps nothing, and desires nothing.
        between: Does blocking work in the store's thread.
    """

    def __init__(self, rows: TwinRows | None, between: "Between[Any] | None") -> None:
        self.rows = rows
        self._between = between

    async def do(self, work: Callable[[TwinRows], T], otherwise: T) -> T:
        """Does some work with the rows; gives something else where there are none."""
        rows, between = self.rows, self._between
        if rows is None or between is None:
            return otherwise
        result: T = await between(lambda: work(rows))
        return result
