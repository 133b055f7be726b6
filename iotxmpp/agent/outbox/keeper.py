"""Numbers readings and takes them to the outbox, many at a time."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from iotxmpp import crashpoints
from iotxmpp.agent.clock import Clock, Moment
from iotxmpp.agent.outbox.acked import Acked
from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.recent import Ahead
from iotxmpp.agent.outbox.rows import (
    LAST,
    DeadLetter,
    Epoch,
    Loss,
    Row,
    Stock,
    epoch_of,
    place_of,
    seq_of,
)
from iotxmpp.agent.outbox.safe import SafeOutbox, State
from iotxmpp.agent.outbox.taking import Taking
from iotxmpp.agent.outbox.times import age_of, time_now_of
from iotxmpp.readings import ClockQuality

TRIM_EVERY = 2.0
"""Seconds that acknowledged readings stay in the file at most, so that trimming costs few writes."""

LOOK_EVERY = 30.0
"""Seconds between looks for dead letters that are to be tried again."""

AT_ONCE = 1000
"""Readings that are read from the disk at once, at least, where packs are made of them one after another."""

CLOCK_EVERY = 1.0
"""Seconds between looks at a clock that is not set."""

_LOGGER = logging.getLogger(__name__)


class Keeper(Taking):
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
        super().__init__(outbox, clock)
        self._first = 0
        self._committed = 0
        self._revived = LAST
        self._unwritten = 0
        self._known = -1
        self._writing = asyncio.Lock()
        self._acked = Acked()
        self._ahead = Ahead()
        self._trim_at: float | None = None
        self._look_at = 0.0

    @property
    def stock(self) -> Stock:
        """What is on disk, or in memory instead."""
        return self._outbox.stock

    @property
    def newest_loss(self) -> int:
        """The id of the newest loss that is not acknowledged; 0 for none."""
        return self._outbox.active.losses

    @property
    def state(self) -> State:
        """Where new readings are kept."""
        return self._outbox.state

    @property
    def held(self) -> int:
        """Readings that are not acknowledged."""
        acked, upto = self._acked.count(self._outbox.epochs.by_id), self._acked.upto(epoch_of(self._first))
        return max(0, self.stock.held - acked) + self._waiting.unsettled(upto)

    @property
    def oldest(self) -> float:
        """Seconds since the first of them was read; 0 for none, or where that cannot be told."""
        row = self.stock.oldest
        if self.held == 0 or row is None:
            return 0.0
        moment = self._clock.now()
        return age_of(self.time_of(row, moment), moment)

    @property
    def start(self) -> int:
        """The place before the first reading of this run."""
        return self._first

    @property
    def last_place(self) -> int:
        """The place of the last reading that may be published; it need not be committed yet."""
        return min(self._taken, self._revived - 1)

    @property
    def settled_place(self) -> int:
        """Up to this place all is on disk, or in memory where there is none, or acknowledged."""
        return max(self._committed, self._acked.upto(epoch_of(self._first)))

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

    async def open(self) -> None:
        """Opens the outbox.

        Raises:
            StoreError: Its file is of another version, or another program's; nothing was changed.
        """
        await self._outbox.open(self.epoch, self._clock.boot)
        self._first = self._taken = place_of(self._outbox.epochs.current.id, 0)
        self._committed = max(self._first, *(e.last for e in self._outbox.epochs.by_id.values()))
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
                    await self._waiting.due.wait()
            except TimeoutError:
                await asyncio.shield(self._look_after())
            else:
                # Not to be cut short: who waits for a commit has to hear of it.
                await asyncio.shield(self.flush())

    def let_go(self) -> None:
        """Lets go of all that is on disk: there is no collector, and it is published."""
        epochs = self._outbox.epochs.by_id.values()
        self.acknowledge({each.name: seq_of(each.last) for each in epochs if each.last})
        self._acks_come = False

    def acknowledge(self, upto: Mapping[str, int]) -> bool:
        """Lets go of what the collector has, of each epoch up to a number; whether it was anything."""
        fresh = False
        for name, seq in upto.items():
            epoch = self.epoch_by_name(name)
            taken = self._taken if name == self.epoch and seq_of(self._taken) else 0
            fresh |= epoch is not None and self._acked.advance(epoch, seq, taken)
        if fresh:
            self._acks_come = True
            done = self._acked.upto(epoch_of(self._first))
            self._unwritten = done if self._waiting.acknowledged(done) else self._unwritten
            self._recent.forget(done)
        if fresh and self._trim_at is None and (self.stock.held or self.stock.losses or self._waiting.writes):
            delay = TRIM_EVERY if self.state == "disk" else 0.0
            self._trim_at = asyncio.get_running_loop().time() + delay
            self._waiting.due_in(delay)
        return fresh

    async def notice(self, upto: Mapping[str, int]) -> None:
        """Answers acks below earlier ones: to a collector with another store, what was trimmed is lost."""
        if self.epoch in upto and self._unwritten > self._first + upto[self.epoch]:
            self._trim_at = 0.0
            await self.flush()  # the file is to know first that those are done with which it never had
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

    async def newest(self, first: int, most: int) -> list[Row]:
        """The first readings of this run from a place on that may be published, committed or not."""
        if self._known != self.generation:
            self._known = self.generation
            self._ask_the_file()
        rows = self._recent.rows(first, self.last_place, most)
        if rows is not None:
            return rows
        settled = self.settled_place
        found = await self._from_disk(first, settled, most)
        start = self._recent.first
        if found or start is None or start > settled + 1:
            return found
        return self._recent.rows(max(first, start), self.last_place, most) or []

    async def _from_disk(self, first: int, last: int, most: int) -> list[Row]:
        """As `page`, for who goes on behind what it gets."""
        ahead = self._ahead
        ahead.go_to(first)
        while len(ahead) < most and (reached := ahead.reached) < last:
            rows = await self.page(reached + 1, last, max(most, AT_ONCE))
            if ahead.reached == reached:
                ahead.add(rows, rows[-1].place if rows else last)
            else:  # it was forgotten meanwhile
                ahead.go_to(first)
        return ahead.rows(most)

    def _ask_the_file(self) -> None:
        """The file alone says what is left of that which is committed."""
        self._recent.forget(self._committed)
        self._ahead.forget()

    async def losses(self, after: int, most: int) -> list[Loss]:
        """Losses with a greater id."""
        return await self._outbox.losses(after, most)

    async def bury(self, first: int, last: int, reason: str) -> None:
        """Gives up the readings between two places, which cannot be delivered."""
        await self._outbox.bury(first, last, reason)
        self._ahead.forget()
        self.changed.set()

    def time_of(self, row: Row, moment: Moment) -> tuple[float, ClockQuality] | None:
        """When a reading was read, as it is to be published now; None where nobody can tell."""
        epoch = self._outbox.epochs.by_id[epoch_of(row.place)]
        return time_now_of(row, epoch, boot=self._clock.boot, moment=moment)

    def given_out(self, place: int) -> None:
        """The reading of that place is given to the link, as were those before it."""
        self._outbox.given_out(place)
        self._recent.forget(place)
        self._waiting.given_out(place)

    def moment(self) -> Moment:
        """The moment by the device's clocks."""
        return self._clock.now()

    # Committing.

    async def flush(self, letters: Sequence[DeadLetter] = ()) -> None:
        """Commits what waits, and dead letters that are to be tried again."""
        async with self._writing:
            self._waiting.clear()
            revived = self._revive(letters)
            rows = self._waiting.begin()
            trims = self._due_trims(at_once=self._unwritten > 0 and len(rows) > 0)
            try:
                if rows or trims:
                    await self._write(rows, trims, revived)
            except BaseException as error:
                self._waiting.end(error)
                raise
            finally:
                self._revived = LAST
            self._waiting.end()
        self.changed.set()

    async def _write(self, rows: Sequence[Row], trims: Sequence[Span], revived: list[int]) -> None:
        moment = self._clock.now()
        dropped = self.stock.dropped
        now = moment.time if moment.quality == "s" else None
        await self._outbox.write(rows, trims=trims, revived=revived, now=now)
        if trims:
            crashpoints.at("trimmed")
        if rows:
            self._acks_come = self._acked.upto(epoch_of(self._first)) >= rows[-1].place  # or too late
            crashpoints.at("committed")
            self._committed = max(self._committed, rows[-1].place)
        if dropped != self.stock.dropped:
            self._ask_the_file()

    def _due_trims(self, *, at_once: bool) -> Sequence[Span]:
        """What is done with, and to go from the file now.

        What was acknowledged unwritten goes with the next reading that is: else it would seem to be missing.
        """
        now = asyncio.get_running_loop().time()
        if not at_once and (self._trim_at is None or now < self._trim_at - 0.001):
            if self._trim_at is not None:
                self._waiting.due_in(self._trim_at - now)
            return []
        self._trim_at = None
        self._unwritten = 0
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
        moment = self._clock.now()
        if self._unset and moment.time is not None:
            self._unset = False
            await self._outbox.set_offset(self._clock.boot, moment.time - moment.uptime)
            _LOGGER.info("the clock is set now")
        if self._look_at <= now:
            self._look_at = now + LOOK_EVERY
            letters = await self._outbox.letters_to_retry()
            if letters:
                await self.flush(letters)

    def _revive(self, letters: Sequence[DeadLetter]) -> list[int]:
        """Takes dead letters in anew: under new numbers, for the old ones were given up.

        They are published only when they are committed, for else a crash would revive them once more.
        """
        for letter in letters:
            self._revived = min(self._revived, self._taken + 1)
            self._add((letter.row._replace(place=self._taken + 1),))
            _LOGGER.info("reading %s.%d is tried again", letter.epoch, seq_of(letter.row.place))
        return [letter.row.place for letter in letters]
