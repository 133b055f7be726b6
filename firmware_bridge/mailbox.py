"""Values on their way from a board to the agent: a few wait, and of a flood the newest count."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from iotxmpp.readings import Value

MOST_OF_A_READ = 32
"""Values of one read that are given one by one; more of them is a flood."""

MOST_WAITING = 256
"""Packets of values that may wait to be taken."""

MOST_EVENTS = 100
"""Events of one channel that are kept of a flood: so many the agent takes at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """Values that were true at one moment, by channel; seconds since 1970.

    Attributes:
        values: The values; for a channel that gives none any more, why.
        at: When.
        is_event: Whether they tell what happened then, once, and not how things are.
    """

    values: Mapping[str, Value | OSError]
    at: float
    is_event: bool = False


class Mailbox:
    """Keeps packets in their order until they are taken.

    Attributes:
        dropped: Values that newer ones of their channel have replaced, untaken; and events beyond the limit.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: deque[Packet] = deque()
        self._merge_beyond = MOST_WAITING
        self._came = asyncio.Event()
        self._error: BaseException | None = None

    def put(self, packets: Iterable[Packet]) -> None:
        """Puts in what one read gave."""
        new = list(packets)
        if len(new) > MOST_OF_A_READ:
            new = self._merged(new)
        if not self._waiting:
            self._merge_beyond = MOST_WAITING
        self._waiting.extend(new)
        if len(self._waiting) > self._merge_beyond:
            self._waiting = deque(self._merged(self._waiting))
            # Events of many channels may be as many as before: the next look must be worth its while.
            self._merge_beyond = max(MOST_WAITING, 2 * len(self._waiting))
        if self._waiting:
            self._came.set()

    def fail(self, error: BaseException) -> None:
        """After what waits, taking raises this."""
        self._error = self._error or error
        self._came.set()

    async def take(self) -> Packet:
        """The next packet.

        Raises:
            BaseException: What `fail` was given.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()

    def _merged(self, packets: Collection[Packet]) -> list[Packet]:
        """The newest value of each channel; events as they are, for each of them counts."""
        events = self._newest([packet for packet in packets if packet.is_event])
        states = [packet for packet in packets if not packet.is_event]
        if not states:
            return events
        values: dict[str, Value | OSError] = {}
        for packet in states:
            values.update(packet.values)
        self.dropped += sum(len(packet.values) for packet in states) - len(values)
        return [*events, Packet(values=values, at=states[-1].at)]

    def _newest(self, events: Sequence[Packet]) -> list[Packet]:
        """So many of each channel's as are kept, in their order."""
        left: dict[tuple[str, ...], int] = {}
        kept = []
        for event in reversed(events):
            channel = tuple(event.values)
            left[channel] = left.get(channel, MOST_EVENTS) - 1
            if left[channel] >= 0:
                kept.append(event)
        self.dropped += len(events) - len(kept)
        return kept[::-1]
