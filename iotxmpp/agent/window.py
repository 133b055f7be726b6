"""How many live packs may be in flight at once: many where a round trip is long, few where it is short."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotxmpp.agent.line import Parcel

if TYPE_CHECKING:
    import asyncio

WIDEST = 32
"""Packs in flight at most: a busy server always has one to go on with."""

FAR = 16
"""Packs in flight at most where a round trip is longer than `SLOW`: more would only queue on a thin line."""

SLOW = 1.0
"""Seconds of such a round trip; an answer is waited for ten times as long."""

SHORT = 2
"""Packs in flight at most where a round trip is shorter than readings gather."""

_REMEMBERED = 4


@dataclass(frozen=True, kw_only=True)
class Flight:
    """A live pack that is under way.

    Attributes:
        parcel: It.
        answer: Ends when the service has answered, or the link went down.
        started: When it was sent, by the loop's clock.
        worked: Something else had been accepted over that link before.
    """

    parcel: Parcel
    answer: "asyncio.Task[None]"
    started: float
    worked: bool


class Window:
    """The bound on packs in flight, from 1 to `WIDEST`: one more for each that others had to wait for.

    It opens wide where a round trip is longer than readings gather, and where whole packs wait, which would
    gain nothing by gathering; half as wide where a round trip is very long. Else it is the server that is
    busy, and more packs would only wait there. Trouble halves it.

    Attributes:
        size: So many may be in flight now.
    """

    def __init__(self, gather: float) -> None:
        """Makes one for a line whose readings gather for so many seconds at most."""
        self.size = 1
        self._gather = gather
        self._trips: list[float] = []

    def accepted(self, took: float, *, others_waited: bool, whole: bool = False) -> None:
        """A pack was accepted after so many seconds.

        Args:
            took: The seconds.
            others_waited: Others could have gone out meanwhile.
            whole: One of them was a whole pack.
        """
        self._trips = [*self._trips[1 - _REMEMBERED :], took]
        quickest = min(self._trips)
        widest = SHORT
        if whole or quickest > self._gather:
            widest = WIDEST if quickest < SLOW else FAR
        step = 1 if others_waited else -1
        self.size = max(1, min(widest, self.size + step))

    def trouble(self) -> None:
        """A pack was not accepted."""
        self.size = max(1, self.size // 2)
        self._trips = []
