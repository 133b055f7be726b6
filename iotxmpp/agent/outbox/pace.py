"""How far readings on the disk are ahead of the link, which takes them from memory while they are not."""

import asyncio
from typing import Final

ENOUGH: Final = 4000
"""Readings on the disk that wait to go out: more last for longer than a commit takes."""

LIVELY: Final = 0.25
"""Seconds since the last pack went out after which the link is not what commits wait for."""


class Pace:
    """Tells whether a commit can wait: the link has enough to send, and does so.

    Tasks that write and wait would else be ahead of the link by more than memory holds, and each pack would
    be read back from the disk, which costs more than to write it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._committed = 0
        self._given = 0
        self._given_at = float("-inf")

    def committed(self, place: int) -> None:
        """All up to this place are on the disk."""
        self._committed = place

    def given_out(self, place: int) -> None:
        """The reading of that place is given to the link; what is published once more tells nothing."""
        if place > self._given:
            self._given = place
            self._given_at = self._loop.time()

    @property
    def is_ahead(self) -> bool:
        """Whether a commit can wait."""
        return self._committed - self._given > ENOUGH and self._loop.time() - self._given_at < LIVELY
