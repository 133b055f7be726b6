"""What is written in one turn of the loop: the first text at once, all that follows together at its end.

To encrypt and send each stanza by itself takes a fifth of a publish's work, and the server as much again.
"""

import asyncio
from collections.abc import Callable


class TurnWriter:
    """Gathers texts.

    Args:
        write: Writes text; it may call `flush` first.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._following: list[str] | None = None

    def put(self, text: str) -> None:
        """Writes text now, or at the end of this turn."""
        if self._following is not None:
            self._following.append(text)
            return
        self._write(text)
        self._following = []
        asyncio.get_running_loop().call_soon(self._end)

    def flush(self) -> None:
        """Writes what waits for the end of this turn."""
        if self._following:
            following, self._following = self._following, []
            self._write("".join(following))

    def _end(self) -> None:
        self.flush()
        self._following = None
