"""What is written in one turn of the loop: the first text at once, all that follows together at its end.

To encrypt and send each stanza by itself takes a fifth of a publish's work, and the server as much again.
"""

import asyncio
from collections.abc import Callable


class TurnWriter:
    """Gathers texts.

    In the turn after one with several texts the first waits, too: several answers come together, and what
    follows them goes out as one record of TLS then, not two. A text that stays alone goes at once again.

    Args:
        write: Writes text; it may call `flush` first.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._waiting: list[str] = []
        self._texts = 0
        self._several = False

    def put(self, text: str) -> None:
        """Writes text now, or at the end of this turn."""
        self._texts += 1
        if self._texts == 1:
            asyncio.get_running_loop().call_soon(self._end)
            if not self._several:
                self._write(text)
                return
        self._waiting.append(text)

    def flush(self) -> None:
        """Writes what waits for the end of this turn."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._write("".join(waiting))

    def _end(self) -> None:
        self._several = self._texts > 1
        self._texts = 0  # before the write: one that fails must not keep the next turn's from being written
        self.flush()
