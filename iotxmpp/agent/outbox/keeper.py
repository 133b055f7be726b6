"""Numbers readings and takes them to the outbox, many at a time."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from iotxmpp import crashpoints
from iotxmpp.agent.clock import Clock, Moment
from iotxmpp.agent.outbox.acked import Acked
from iotxmpp.agent.outbox.batch import Batch, Rounds
from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import DeadLetter, Epoch, Loss, Row, Stock, epoch_of, place_of, seq_of, size_of
from iotxmpp.agent.outbox.safe import SafeOutbox, State
from iotxmpp.errors import OutboxFullError
from iotxmpp.readings import ClockQuality, Value, plain

COMMIT_EVERY = 0.5
"""Seconds that a reading waits at most to be committed with others; a lone one does not wait."""

COMMIT_AT = 100
"""Readings that are committed without waiting for more."""

TRIM_EVERY = 2.0
"""Seconds that acknowledged readings stay in the file at most, so that trimming costs few writes."""

LOOK_EVERY = 30.0
"""Seconds between looks for dead letters that are to be tried again."""

CLOCK_EVERY = 1.0
"""Seconds between looks at a clock that is not set."""

_LOGGER = logging.getLogger(__name__)


class Keeper:
    """Takes readings in, gives them out by their places, and lets go of what is acknowledged.

    Attributes:
        epoch: Names this run's numbers.
        changed: Set whenever there may be something new to publish; whoever waits for it clears it.
    """

    def __init__(self, outbox: SafeOutbox, *, clock: Clock, epoch: str) -> None:
        """Makes one; `open` opens the outbox.

        Args:
            outbox: Where readings are kept.
            clock: The device's clocks.
            epoch: The name of this run's numbers.
        """
        self.epoch = epoch
        self.changed = asyncio.Event()
        self._outbox = outbox
        self._clock = clock
        self._last_seq = 0
        self._committed = 0
        self._batch = Batch()
        self._due = asyncio.Event()
        self._due_timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._last_write = float("-inf")
        self._rounds = Rounds()
        self._acked = Acked()
        self._trim_at: float | None = None
        self._look_at = 0.0
        self._unset = False

    @property
    def stock(self) -> Stock:
        """What is on disk, or in memory instead."""
        return self._outbox.stock

    @property
    def state(self) -> State:
        """Where new readings are kept."""
        return self._outbox.state

    @property
    def held(self) -> int:
        """Readings that are not acknowledged."""
        acked = self._acked.count(self._outbox.epochs.by_id)
        return max(0, self.stock.held - acked) + len(self._batch.rows)

    @property
    def oldest(self) -> float:
        """Seconds since the first of them was read; 0 for none, or where that cannot be told."""
        row = self.stock.oldest
        if self.held == 0 or row is None:
            return 0.0
        known = self.time_of(row, self._clock.now())
        now = self._clock.now().time
        if known is None:
            return 0.0
        if known[1] == "r":
            return max(0.0, -known[0])
        return max(0.0, (now or known[0]) - known[0])

    @property
    def last_place(self) -> int:
        """The place of the last reading that may be published: it is committed."""
        return self._committed

    @property
    def generation(self) -> int:
        """Grows when the ids of losses begin anew."""
        return self._outbox.generation

    def epoch_by_id(self, number: int) -> Epoch:
        """The epoch of a place's id."""
        return self._outbox.epochs.by_id[number]

    def epoch_by_name(self, name: str) -> Epoch | None:
        """The epoch of that name, if anything of it is held or it is this run's."""
        return next((each for each in self._outbox.epochs.by_id.values() if each.name == name), None)

    def everything(self) -> dict[str, int]:
        """The last number of each epoch of which something is held."""
        return {each.name: seq_of(each.last) for each in self._outbox.epochs.by_id.values() if each.last}

    async def open(self) -> None:
        """Opens the outbox.

        Raises:
            StoreError: Its file is of another version, or another program's; nothing was changed.
        """
        await self._outbox.open(self.epoch, self._clock.boot)
        self._committed = max(
            place_of(self._outbox.epochs.current.id, 0), *(e.last for e in self._outbox.epochs.by_id.values())
        )
        moment = self._clock.now()
        self._unset = moment.time is None
        if moment.time is not None:
            await self._outbox.set_offset(self._clock.boot, moment.time - moment.uptime)

    async def close(self) -> None:
        """Keeps what is not kept yet, trims, and closes the outbox."""
        if self._trim_at is not None:
            self._trim_at = 0.0
        await self.flush()
        await self._outbox.mend()
        await self._outbox.close()

    async def run(self) -> None:
        """Commits, trims, and puts right what can be, until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._idle_for()):
                    await self._due.wait()
            except TimeoutError:
                await asyncio.shield(self._look_after())
            else:
                # Not to be cut short: who waits for a commit has to hear of it.
                await asyncio.shield(self.flush())

    def take(
        self, values: Mapping[str, tuple[Value, str | None]], at: float | None = None, *, urgent: bool = False
    ) -> "asyncio.Future[None]":
        """Numbers the readings of one sample; they are committed soon.

        Args:
            values: Value and unit by channel.
            at: When they were read, in seconds since 1970; None for now.
            urgent: They are committed at once.

        Returns:
            What ends as soon as they are on disk, or in memory where there is no disk.

        Raises:
            OutboxFullError: There is no room, and the policy is to keep what is there.
        """
        self._check_room(values)
        time, quality = self._clock.now().stamp(None if at is None else float(at))
        for channel, (value, unit) in values.items():
            name, plain_unit = str.__str__(channel), None if unit is None else str.__str__(unit)
            self._batch.rows.append(Row(self._next_place(), name, plain_unit, time, quality, plain(value)))
        self._unset = self._unset or quality == "r"
        crashpoints.at("accepted")
        self._schedule(urgent=urgent)
        return self._batch.done

    async def keep(
        self, values: Mapping[str, tuple[Value, str | None]], at: float | None = None, *, urgent: bool = False
    ) -> None:
        """Takes the readings of one sample, and returns when they are kept.

        Raises:
            OutboxFullError: There is no room, and the policy is to keep what is there.
        """
        task = asyncio.current_task()
        done = self.take(values, at, urgent=urgent)
        if task is not None:
            self._batch.waiting.add(task)
            if self._rounds.complete(task, len(self._batch.rows)):
                self._due.set()
        await asyncio.shield(done)

    def acknowledge(self, upto: Mapping[str, int]) -> bool:
        """Lets go of what the collector has, of each epoch up to a number; whether it was anything."""
        fresh = False
        for name, seq in upto.items():
            epoch = self.epoch_by_name(name)
            fresh |= epoch is not None and self._acked.advance(epoch, seq)
        if fresh and self._trim_at is None:
            delay = TRIM_EVERY if self.state == "disk" else 0.0
            self._trim_at = asyncio.get_running_loop().time() + delay
            self._due_in(delay)
        return fresh

    async def notice(self, upto: Mapping[str, int]) -> None:
        """Answers acks below earlier ones: to a collector with another store, what was trimmed is lost."""
        for name, seq in upto.items():
            epoch = self.epoch_by_name(name)
            if epoch is None or not epoch.last:
                continue
            place = place_of(epoch.id, seq)
            self._acked.go_back(place)
            if epoch.first > place + 1:
                _LOGGER.warning(
                    "the collector lacks readings that it had acknowledged, from %s.%d", name, seq + 1
                )
                await self._outbox.lose(place + 1, epoch.first - 1, "trimmed")
                self.changed.set()

    async def page(self, first: int, last: int, most: int) -> list[Row]:
        """The first readings between two places that are committed and not acknowledged."""
        while True:
            rows = await self._outbox.page(self._acked.past(first), min(last, self._committed), most)
            wanted = self._acked.without(rows)
            if wanted or not rows:
                return wanted
            first = rows[-1].place + 1

    async def losses(self, after: int, most: int) -> list[Loss]:
        """Losses with a greater id."""
        return await self._outbox.losses(after, most)

    async def bury(self, first: int, last: int, reason: str) -> None:
        """Gives up the readings between two places, which cannot be delivered."""
        await self._outbox.bury(first, last, reason)
        self.changed.set()

    def time_of(self, row: Row, moment: Moment) -> tuple[float, ClockQuality] | None:
        """When a reading was read, as it is to be published now.

        With quality `r` in seconds before now. None: the clock was not set in that run of the system, and
        the system has been started anew since, so nobody can tell.
        """
        if row.clock != "r":
            return row.time, row.clock
        epoch = self._outbox.epochs.by_id[epoch_of(row.place)]
        if epoch.offset is not None:
            return epoch.offset + row.time, "u"
        if epoch.boot != self._clock.boot:
            return None
        return min(0.0, row.time - moment.uptime), "r"

    def given_out(self, place: int) -> None:
        """The reading of that place is given to the link, as were those before it."""
        self._outbox.given_out(place)

    def moment(self) -> Moment:
        """The moment by the device's clocks."""
        return self._clock.now()

    # Committing.

    def _schedule(self, *, urgent: bool) -> None:
        now = asyncio.get_running_loop().time()
        if urgent or self.state == "memory" or len(self._batch.rows) >= COMMIT_AT:
            self._due.set()
        else:
            self._due_in(max(0.0, self._last_write + COMMIT_EVERY - now))

    def _due_in(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + delay
        if delay == 0.0:
            self._due.set()
        elif self._due_timer is None or self._due_timer.cancelled() or self._due_timer.when() > at:
            if self._due_timer is not None:
                self._due_timer.cancel()
            self._due_timer = loop.call_at(at, self._due.set)

    async def flush(self, letters: Sequence[DeadLetter] = ()) -> None:
        """Commits what waits, and dead letters that are to be tried again."""
        async with self._writing:
            self._due.clear()
            if self._due_timer is not None:
                self._due_timer.cancel()
                self._due_timer = None
            revived = self._revive(letters)
            batch, self._batch = self._batch, Batch()
            trims = self._due_trims()
            if batch.rows or trims:
                await self._write(batch, trims, revived)

    async def _write(self, batch: "Batch", trims: Sequence[Span], revived: list[int]) -> None:
        moment = self._clock.now()
        now = moment.time if moment.quality == "s" else None
        if batch.rows:
            self._last_write = asyncio.get_running_loop().time()
        try:
            await self._outbox.write(batch.rows, trims=trims, revived=revived, now=now)
        except BaseException as error:
            if not batch.done.done():
                batch.done.set_exception(error)
            raise
        if trims:
            crashpoints.at("trimmed")
        if batch.rows:
            crashpoints.at("committed")
            self._committed = max(self._committed, batch.rows[-1].place)
            self._rounds.begin(batch.waiting)
        if not batch.done.done():
            batch.done.set_result(None)
        self.changed.set()

    def _due_trims(self) -> Sequence[Span]:
        if self._trim_at is None or asyncio.get_running_loop().time() < self._trim_at - 0.001:
            if self._trim_at is not None:
                self._due_in(self._trim_at - asyncio.get_running_loop().time())
            return []
        self._trim_at = None
        return self._acked.spans(self._outbox.epochs.by_id)

    # What else there is to do.

    def _idle_for(self) -> float:
        now = asyncio.get_running_loop().time()
        waits = [self._look_at - now]
        if self._outbox.mend_at is not None:
            waits.append(self._outbox.mend_at - time.monotonic())
        if self._unset:
            waits.append(CLOCK_EVERY)
        return max(0.0, min(waits))

    async def _look_after(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._outbox.mend_at is not None and self._outbox.mend_at <= time.monotonic():
            async with self._writing:
                await self._outbox.mend()
            self.changed.set()
        if self._unset:
            await self._look_at_clock()
        if self._look_at <= now:
            self._look_at = now + LOOK_EVERY
            letters = await self._outbox.letters_to_retry()
            if letters:
                await self.flush(letters)

    async def _look_at_clock(self) -> None:
        moment = self._clock.now()
        if moment.time is not None:
            self._unset = False
            await self._outbox.set_offset(self._clock.boot, moment.time - moment.uptime)
            _LOGGER.info("the clock is set now")

    def _revive(self, letters: Sequence[DeadLetter]) -> list[int]:
        """Takes dead letters in anew: under new numbers, for the old ones were given up."""
        for letter in letters:
            self._batch.rows.append(letter.row._replace(place=self._next_place()))
            _LOGGER.info("reading %s.%d is tried again", letter.epoch, seq_of(letter.row.place))
        return [letter.row.place for letter in letters]

    # Taking in.

    def _next_place(self) -> int:
        self._last_seq += 1
        return place_of(self._outbox.epochs.current.id, self._last_seq)

    def _check_room(self, values: Mapping[str, tuple[Value, str | None]]) -> None:
        limits, stock = self._outbox.limits, self.stock
        needed = sum(size_of(value) for value, _ in values.values())
        full = stock.stuck or stock.bytes + self._batch.bytes + needed > limits.bytes
        if full and (stock.stuck or any(limits.of(channel) == "reject" for channel in values)):
            raise OutboxFullError(
                f"{', '.join(values)}: the outbox is full ({limits.bytes} bytes of readings that are not"
                " acknowledged), and its policy is to keep them"
            )
        self._batch.bytes += needed
