"""Takes readings in: numbers them, and has them committed soon."""

import asyncio
from collections.abc import Mapping, Sequence

from iotxmpp import crashpoints
from iotxmpp.agent.clock import Clock
from iotxmpp.agent.outbox.recent import Recent
from iotxmpp.agent.outbox.rows import ROW_BYTES, Row, row_of, size_of, size_of_all
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.outbox.waiting import Waiting
from iotxmpp.readings import Value, plain

COMMIT_EVERY = 0.5
"""Seconds that a reading waits at most to be committed with others; a lone one does not wait."""

COMMIT_AT = 100
"""Readings that are committed without waiting for more."""

SPARED = 0.15
"""Seconds that a reading waits for its ack, while acks come: then it need not be written at all."""

Given = tuple[str, Value, str | None, float | None]
"""A reading to be taken: its channel, value and unit, and when it was read, in seconds since 1970.

None stands for now.
"""


class Taking:
    """The way in of an outbox.

    Attributes:
        changed: Set whenever there may be something new to publish; whoever waits for it clears it.
    """

    def __init__(self, outbox: SafeOutbox, clock: Clock) -> None:
        """Makes one.

        Args:
            outbox: Where readings are kept.
            clock: The device's clocks.
        """
        self.changed = asyncio.Event()
        self._outbox = outbox
        self._clock = clock
        self._taken = 0
        self._recent = Recent()
        self._waiting = Waiting()
        self._may_crash = crashpoints.is_armed()
        self._unset = False
        self._acks_come = False

    def take(
        self, values: Mapping[str, tuple[Value, str | None]], at: float | None = None, *, urgent: bool = False
    ) -> None:
        """Numbers the readings of one sample; they can be published now, and are committed soon.

        Args:
            values: Value and unit by channel.
            at: When they were read, in seconds since 1970; None for now.
            urgent: They are committed at once.

        Raises:
            OutboxFullError: There is no room, and the policy is to keep what is there.
        """
        at = None if at is None else float(at)
        self.take_many(
            [
                (str.__str__(channel), plain(value), None if unit is None else str.__str__(unit), at)
                for channel, (value, unit) in values.items()
            ],
            urgent=urgent,
        )

    def take_many(self, readings: Sequence[Given], *, urgent: bool = False) -> None:
        """As `take`, for readings that each have a time; all of them, or none."""
        needed = size_of_all([each[1] for each in readings])
        channels = (each[0] for each in readings)
        self._waiting.reserve(channels, needed, self._outbox.active, self._outbox.limits)
        stamp = self._clock.stamp
        now = stamp(None)
        self._add(
            [
                row_of((place, channel, unit, *(now if at is None else stamp(at)), value))
                for place, (channel, value, unit, at) in enumerate(readings, self._taken + 1)
            ]
        )
        self._schedule(urgent=urgent)

    def take_one(
        self, channel: str, value: Value, unit: str | None, at: float | None = None, *, urgent: bool = False
    ) -> "asyncio.Future[None]":
        """As `take`, for one reading, all of it in built-in types.

        Returns:
            What ends as soon as it is on disk, in memory where there is none, or acknowledged. It is the
            caller's own: to cancel it disturbs nobody.
        """
        needed = ROW_BYTES if type(value) is float else size_of(value)
        self._waiting.reserve((channel,), needed, self._outbox.active, self._outbox.limits)
        time, quality = self._clock.stamp(at)
        self._add((row_of((self._taken + 1, channel, unit, time, quality, value)),))
        self._schedule(urgent=urgent)
        return self._waiting.ended(self._taken, spare=self._acks_come)

    async def keep(
        self, values: Mapping[str, tuple[Value, str | None]], at: float | None = None, *, urgent: bool = False
    ) -> None:
        """As `take`, and returns when they are kept, or acknowledged."""
        self.take(values, at, urgent=urgent)
        await self.kept()

    def kept(self) -> "asyncio.Future[None]":
        """What ends as soon as all that was taken so far is kept, or acknowledged; it is the caller's own."""
        return self._waiting.ended(self._taken, spare=self._acks_come)

    def _schedule(self, *, urgent: bool) -> None:
        waiting = self._waiting
        if not waiting.due.is_set():
            at_once = urgent or self._outbox.state == "memory"
            waiting.schedule(COMMIT_EVERY, spare=SPARED if self._acks_come else 0.0, at_once=at_once)
            if len(waiting.batch.rows) >= COMMIT_AT:
                waiting.hurry()
        self.changed.set()

    def _add(self, rows: Sequence[Row]) -> None:
        """Takes the next readings, which are numbered already."""
        if not rows:
            return
        self._taken = rows[-1].place
        self._waiting.batch.rows.extend(rows)
        self._recent.add(rows)
        if not self._unset:
            for row in rows:  # quicker than any() with one row
                if row.clock == "r":
                    self._unset = True
        if self._may_crash:
            for _ in rows:
                crashpoints.at("accepted")
