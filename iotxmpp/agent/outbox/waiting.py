"""Readings that wait for their commit: when that is due, and who waits for it."""

import asyncio
from collections.abc import Iterable

from iotxmpp.agent.outbox.batch import Batch, Rounds
from iotxmpp.agent.outbox.pace import Pace
from iotxmpp.agent.outbox.rows import Row, Stock
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.errors import OutboxFullError


class Waiting:
    """The batch that gathers, and the one that is being written.

    Attributes:
        due: Set when there is something to write now.
        batch: The one that gathers.
    """

    def __init__(self) -> None:
        self.due = asyncio.Event()
        self.batch = Batch()
        self._writing = Batch()
        self._rounds = Rounds()
        self._pace = Pace()
        self._is_held = False
        self._timer: asyncio.TimerHandle | None = None
        self._last_write = float("-inf")
        self._loop = asyncio.get_running_loop()

    def reserve(self, channels: Iterable[str], needed: int, stock: Stock, limits: Limits) -> None:
        """Takes room for so many bytes of these channels, beside what is held.

        Raises:
            OutboxFullError: There is none, and the policy is to keep what is there.
        """
        batch = self.batch
        if stock.stuck or stock.bytes + batch.bytes + needed > limits.bytes:
            names = list(dict.fromkeys(channels))
            if stock.stuck or any(limits.of(channel) == "reject" for channel in names):
                raise OutboxFullError(
                    f"{', '.join(names)}: the outbox is full ({limits.bytes} bytes of readings that are not"
                    " acknowledged), and its policy is to keep them"
                )
        batch.bytes += needed

    def schedule(self, every: float, *, spare: float, at_once: bool) -> None:
        """Has what gathers written: now, or so many seconds after the last write, or from now, at most."""
        if at_once:
            self.due.set()
        elif not self.batch.is_scheduled:
            self.batch.is_scheduled = True
            self.due_in(max(spare, self._last_write + every - self._loop.time()))

    def hurry(self) -> None:
        """There is enough to write: now, or as soon as the link has not enough to send any more."""
        self._is_held = self._pace.is_ahead
        if not self._is_held:
            self.due.set()

    def given_out(self, place: int) -> None:
        """The reading of that place is given to the link, as were those before it."""
        self._pace.given_out(place)
        if self._is_held:
            self.hurry()

    def due_in(self, delay: float) -> None:
        """There is something to write after so many seconds at most."""
        at = self._loop.time() + delay
        if delay == 0.0:
            self.due.set()
        elif self._timer is None or self._timer.cancelled() or self._timer.when() > at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self.due.set)

    def ended(self, place: int, *, spare: bool) -> "asyncio.Future[None]":
        """What ends with the commit or the ack of that place, which is the last; it is the caller's own.

        Args:
            place: The place.
            spare: The ack is likely to come soon: for a few readings, none has to be written meanwhile.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self.batch.wait(place, future)
        task = asyncio.current_task(self._loop)
        if task is not None:
            self.batch.tasks.append(task)
            if self._rounds.complete(task, len(self.batch.rows), spare=spare):
                self.hurry()
        return future

    @property
    def writes(self) -> bool:
        """Whether some are being written now."""
        return bool(self._writing.rows)

    def unsettled(self, upto: int) -> int:
        """How many of the readings stand after a place."""
        return self._writing.unsettled(upto) + self.batch.unsettled(upto)

    def acknowledged(self, upto: int) -> bool:
        """The collector has those up to a place: who waits for them goes on.

        Returns:
            Whether some were not written yet, and need not be any more.
        """
        self._writing.acknowledged(upto)
        self.batch.acknowledged(upto)
        return self.batch.forget(upto)

    def clear(self) -> None:
        """What is due is looked at now."""
        self.due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin(self) -> list[Row]:
        """The readings that gathered are written now; others gather meanwhile."""
        self._writing, self.batch = self.batch, Batch()
        self._is_held = False
        if self._writing.rows:
            self._last_write = self._loop.time()
        return self._writing.rows

    def end(self, error: BaseException | None = None) -> None:
        """They are written, or could not be: who waits for them goes on."""
        written, self._writing = self._writing, Batch()
        if error is None and written.rows:
            self._pace.committed(written.rows[-1].place)
            self._rounds.begin(written.tasks)
        written.end(error)
