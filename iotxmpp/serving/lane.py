"""A line in which calls wait for their turn, in the order in which they came."""

import asyncio
from collections import deque


class Lane:
    """So many may go side by side; the others wait in order.

    `join` takes a place in the line at once. Its future is done when it is that one's turn, and `leave` gives
    the place back, whether the turn came or not.
    """

    def __init__(self, places: int = 1) -> None:
        """Makes one for so many side by side."""
        self._places = places
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether one more would have to wait."""
        return len(self._line) >= self._places

    def join(self) -> "asyncio.Future[None]":
        """Takes the last place in the line."""
        turn = asyncio.get_running_loop().create_future()
        if not self.full:
            turn.set_result(None)
        self._line.append(turn)
        return turn

    def leave(self, turn: "asyncio.Future[None]") -> None:
        """Gives a place back."""
        self._line.remove(turn)
        if self.full:
            following = self._line[self._places - 1]
            if not following.done():
                following.set_result(None)
