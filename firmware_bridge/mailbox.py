"""Values on their way from a board to the agent: a few wait, and of a flood the newest count."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iotxmpp.readings import Value

MOST_OF_A_READ = 32
"""Values of one read that are given one by one; more of them is a flood."""

MOST_WAITING = 256
"""Packets of values that may wait to be taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """Values that were true at one moment, by channel; seconds since 1970."""

    values: Mapping[str, Value]
    at: float


class Mailbox:
    """Keeps packets in their order until they are taken.

    Attributes:
        dropped: Values that newer ones of their channel have replaced, untaken.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: deque[Packet] = deque()
        self._came = asyncio.Event()
        self._error: BaseException | None = None

    def put(self, packets: Iterable[Packet]) -> None:
        """Puts in what one read gave."""
        new = list(packets)
        if len(new) > MOST_OF_A_READ:
            new = [self._merged(new)]
        self._waiting.extend(new)
        if len(self._waiting) > MOST_WAITING:
            merged = self._merged(self._waiting)
            self._waiting.clear()
            self._waiting.append(merged)
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

    def _merged(self, packets: Iterable[Packet]) -> Packet:
        values: dict[str, Value] = {}
        at, count = 0.0, 0
        for packet in packets:
            values.update(packet.values)
            count += len(packet.values)
            at = packet.at
        self.dropped += count - len(values)
        return Packet(values=values, at=at)
