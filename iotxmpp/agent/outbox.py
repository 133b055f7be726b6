"""Readings that wait to be published, in memory."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from iotxmpp.readings import Reading

MOST_READINGS = 500
"""Readings in one pack."""

MOST_BYTES = 60_000
"""Bytes of one pack on the wire: the smallest usual limit of a stanza is 64 KiB (ejabberd)."""

_LABELS = 110  # a record's labels, numbers and punctuation, each quote escaped as &quot;
_ESCAPED = "\"'&<>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """A run of consecutive readings, to be published as one item.

    Attributes:
        readings: At least one.
    """

    readings: tuple[Reading, ...]

    @property
    def epoch(self) -> str:
        """What names the run of their numbers."""
        return self.readings[0].epoch

    @property
    def first_seq(self) -> int:
        """The number of the first."""
        return self.readings[0].seq


class MemoryOutbox:
    """Numbers readings and keeps them until they are settled; the oldest go first when it is full.

    One pack is out at a time: it stays the same until it is settled, so that it can be published again under
    the same id. The readings of one sample stay together, in a pack as in dropping.

    Attributes:
        epoch: Names the run of numbers; new with each outbox, for memory does not last.
        dropped: Readings given up since the start.
    """

    def __init__(self, *, limit: int = 10_000) -> None:
        """Makes an empty one.

        Args:
            limit: Readings that may wait, besides the pack that is out.
        """
        self.epoch = secrets.token_hex(4)
        self.dropped = 0
        self._limit = limit
        self._last_seq = 0
        self._samples: deque[tuple[Reading, ...]] = deque()
        self._waiting = 0
        self._out: Pack | None = None
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def buffered(self) -> int:
        """Readings that are not settled."""
        return self._waiting + (len(self._out.readings) if self._out else 0)

    def add(self, sample: Sequence[Reading]) -> None:
        """Numbers the readings of one sample and keeps them."""
        numbered = []
        for reading in sample:
            self._last_seq += 1
            numbered.append(replace(reading, epoch=self.epoch, seq=self._last_seq))
        if not numbered:
            return
        self._samples.append(tuple(numbered))
        self._waiting += len(numbered)
        while self._waiting > self._limit:
            oldest = self._samples.popleft()
            self._waiting -= len(oldest)
            self.dropped += len(oldest)
        self._update()

    async def next_pack(self) -> Pack:
        """The pack that is out, or the next one as soon as there is a reading."""
        await self._filled.wait()
        if self._out is None:
            self._out = Pack(readings=tuple(self._cut()))
            self._waiting -= len(self._out.readings)
        return self._out

    def settle(self, *, delivered: bool = True) -> None:
        """Ends with the pack that is out: it was delivered, or it is given up."""
        if self._out is not None and not delivered:
            self.dropped += len(self._out.readings)
        self._out = None
        self._update()

    async def drained(self) -> None:
        """Returns when every reading is settled."""
        await self._empty.wait()

    def _update(self) -> None:
        for event, holds in ((self._filled, self.buffered > 0), (self._empty, self.buffered == 0)):
            if holds:
                event.set()
            else:
                event.clear()

    def _cut(self) -> list[Reading]:
        pack: list[Reading] = []
        size = 0
        while self._samples:
            sample = self._samples.popleft()
            sizes = [_size(reading) for reading in sample]
            if len(pack) + len(sample) <= MOST_READINGS and size + sum(sizes) <= MOST_BYTES:
                pack.extend(sample)
                size += sum(sizes)
                continue
            fitting = 0 if pack else _fitting(sizes)
            pack.extend(sample[:fitting])
            self._samples.appendleft(sample[fitting:])
            break
        return pack


def _fitting(sizes: Sequence[int]) -> int:
    """How many of a sample's readings go into a pack of their own; at least one."""
    size = 0
    for count, one in enumerate(sizes[:MOST_READINGS]):
        size += one
        if size > MOST_BYTES:
            return max(count, 1)
    return min(len(sizes), MOST_READINGS)


def _size(reading: Reading) -> int:
    """About how many bytes the reading takes on the wire, rather too many."""
    size = _LABELS + len(reading.channel) + len(reading.unit or "")
    if not isinstance(reading.value, str):
        return size + 24
    text = json.dumps(reading.value)
    return size + len(text) + 5 * sum(text.count(character) for character in _ESCAPED)
