"""Gives requests up that get no answer in time, all of them by one timer.

A timer for each takes a twentieth of a publish's work, and nearly all are cancelled again.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from iotxmpp.errors import NoAnswerError

PAUSE: Final = 0.01
"""Seconds from one look at all that wait to the next, at least."""


class Waiting(NamedTuple):
    """A request under way; a dataclass takes longer to make.

    Attributes:
        to: Who was asked, as the caller said it.
        asked: The same as servers write it.
        timeout: Seconds to wait for the answer.
        until: When those are over, by the loop's clock.
        answer: Gets the answer, or why there is none.
    """

    to: str
    asked: str
    timeout: float
    until: float
    answer: asyncio.Future[Element]

    def give_up(self) -> None:
        """No answer came in time."""
        if not self.answer.done():
            self.answer.set_exception(NoAnswerError(f"no answer from {self.to} within {self.timeout:g} s"))


class Overdue:
    """Looks when the first of them is due.

    Args:
        waiting: The requests under way; whoever keeps them adds and removes.
    """

    def __init__(self, waiting: Mapping[str, Waiting]) -> None:
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, request: Waiting) -> None:
        """One more is under way."""
        if self._timer is None or request.until < self._timer.when():
            self._look_at(request.until)

    def stop(self) -> None:
        """Looks no more, until the next is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, moment: float) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        left = []
        for request in self._waiting.values():
            if request.until <= now:
                request.give_up()
            else:
                left.append(request.until)
        if left:
            self._look_at(max(min(left), now + PAUSE))
