"""What is published next: live readings, what is to be tried again, losses, the backlog; suspects last."""

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from iotxmpp.agent.clock import Moment
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.packs import MOST_READINGS, Pack, Timeless, cut
from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import Loss, Row, epoch_of, seq_of
from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.agent.packbound import MOST_BYTES
from iotxmpp.delivery import MOST_LOST, Gap

MOST_SPANS = 64
"""Runs of the backlog that are told apart; two beside each other are joined when there are more."""

CROWD = 100
"""A backlog of so many readings waits for up to the whole `replay_delay`, a smaller one for a part of it."""

FEW = 20
"""Up to so many readings that were read while the agent first connected are live, and keep their order."""

SUSPECTS_AFTER = 10.0
"""Seconds of a session after which what may break it is tried although there is a backlog still."""

_LOGGER = logging.getLogger(__name__)

Source = Literal["live", "again", "loss", "replay"]


@dataclass(kw_only=True)
class Trial:
    """A pack that could not be delivered so far, to be tried again by itself.

    Attributes:
        first: The place of its first reading.
        last: The place of its last one.
        broken: How often in a row the link went down while exactly it was in flight.
        refused: How often it was refused.
        suspect: It is a part of a pack that broke the link or was refused.
        not_before: When to try it again, by the loop's clock.
        accepted: How many items had been accepted when it was refused for the first time.
        live: It was read in this session, which goes on; so it keeps its turn until it is suspicious.
    """

    first: int
    last: int
    broken: int = 0
    refused: int = 0
    suspect: bool = False
    not_before: float = 0.0
    accepted: int | None = None
    live: bool = False

    @property
    def keeps_its_turn(self) -> bool:
        """Whether it goes before what was read after it."""
        return self.live and not self.suspect and not self.refused and self.broken <= 1

    @property
    def may_break(self) -> bool:
        """Whether it may break the link again, and so waits until everything else is out."""
        return not self.keeps_its_turn and (self.suspect or self.broken > 0)


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One item to be published: a pack, or a gap record.

    Attributes:
        source: Why it is the next.
        pack: The readings, or None.
        gap: The losses, or None.
        trial: What is known of it, if it was tried before.
        upto: The newest loss that it tells of.
    """

    source: Source
    pack: Pack | None = None
    gap: Gap | None = None
    trial: Trial | None = None
    upto: int = 0


@dataclass(kw_only=True)
class Line:
    """Chooses what is published next.

    Live is what was read in this session with the server. All that was read before is the backlog; it gets a
    bounded share of the publishing time, and begins at a moment of chance, so that a fleet that comes back at
    once does not flood its server. What may have broken the link waits until all else is out, or for
    `SUSPECTS_AFTER`: so each session brings out what is good before the next suspect can end it.

    Live readings go out before they are on the disk, but never past others that are neither there nor
    acknowledged: so an agent that is killed leaves no holes among its numbers. All else comes from the disk.

    Attributes:
        keeper: Where readings are kept.
        settings: How the backlog is emptied.
        most_bytes: Bytes of one pack on the wire at most.
        choose: Picks a number of seconds between two bounds.
        hurry: The backlog need not be polite: it is the end.
        attempted: The highest number of this run that was given out, published or not.
    """

    keeper: Keeper
    settings: OutboxSettings
    most_bytes: int = MOST_BYTES
    choose: Callable[[float, float], float] = field(default=random.uniform)
    hurry: bool = False
    attempted: int = 0
    _live: int = 0
    _flying: list[Span] = field(default_factory=list)
    _usual: float = MOST_READINGS
    _backlog: list[Span] = field(default_factory=list)
    _trials: list[Trial] = field(default_factory=list)
    _losses_sent: tuple[int, int] = (0, 0)
    _replay_at: float = 0.0
    _suspects_at: float = 0.0

    def new_session(self, now: float) -> None:
        """What was not published in the sessions before becomes the backlog."""
        last, start = self.keeper.settled_place, self.keeper.start
        if not self._live and last - start <= FEW:
            last = start
        if self._live <= last:
            self._backlog.append((self._live, last))
            self._live = last + 1
        while len(self._backlog) > MOST_SPANS:
            (first, _), (_, end) = self._backlog[-2:]
            self._backlog[-2:] = [(first, end)]
        crowd = min(1.0, self.keeper.held / CROWD)
        self._replay_at = now + self.choose(0.0, self.settings.replay_delay * crowd)
        self._suspects_at = self._replay_at + SUSPECTS_AFTER
        for trial in self._trials:
            trial.live = False

    def session_resumed(self, now: float) -> None:
        """The link was cut, and the session goes on."""
        self._suspects_at = max(now, self._replay_at) + SUSPECTS_AFTER

    def again(self) -> None:
        """Everything that is held, published or not, is to be published again."""
        self._backlog = [(0, self._live - 1)] if self._live else []
        for first, last in [*((trial.first, trial.last) for trial in self._trials), *self._flying]:
            self._backlog = _without(self._backlog, first, last)
        self._losses_sent = (0, 0)

    async def next(self, now: float, *, live_first: bool = True) -> Parcel | Timeless | None:
        """What to publish now; None for nothing yet.

        Args:
            now: The loop's time.
            live_first: Live readings go before others that are due; else after them.
        """
        moment = self.keeper.moment()
        parcel = await self._trial(now, moment, lambda trial: trial.keeps_its_turn)
        if live_first:
            parcel = parcel or await self._newest(moment)
        parcel = parcel or await self._trial(now, moment, lambda trial: not trial.may_break)
        parcel = parcel or await self._loss()
        if parcel is None and now >= self._suspects_at:
            parcel = await self._trial(now, moment, lambda trial: trial.may_break)
        if parcel is None and (now >= self._replay_at or self.hurry):
            parcel = await self._replay(moment)
        parcel = parcel or await self._newest(moment)
        if parcel is None and not self._backlog:
            parcel = await self._trial(now, moment, lambda trial: trial.may_break)
        if isinstance(parcel, Parcel):
            self._note(parcel)
        return parcel

    async def next_live(self) -> Parcel | None:
        """What to publish while something live is in flight; None for nothing."""
        parcel = await self._newest(self.keeper.moment())
        if not isinstance(parcel, Parcel):
            return None
        self._note(parcel)
        return parcel

    def others_are_due(self, now: float) -> bool:
        """Whether something else than live readings is to go out, which must not wait for ever."""
        replay = self._backlog and self._backlog[0][0] <= self.keeper.settled_place and now >= self._replay_at
        return bool(replay) or self._has_losses()

    @property
    def calm(self) -> bool:
        """Nothing is to be tried again: several live packs may be in flight."""
        return not self._trials

    @property
    def waiting(self) -> int:
        """Live readings that may go out now."""
        if self._live - 1 > self.keeper.settled_place:
            return 0
        return max(0, self.keeper.last_place - self._live + 1)

    @property
    def is_full(self) -> bool:
        """Whether those that wait make up a whole pack, by the size of the last one."""
        return self.waiting >= self._usual

    def wake_at(self) -> float | None:
        """When there may be something to publish without anything new; None for never."""
        waiting, settled = self._suspects_at if self._backlog else 0.0, self.keeper.settled_place
        times = [
            max(it.not_before, waiting if it.may_break else 0.0) for it in self._trials if it.last <= settled
        ]
        if self._backlog and self._backlog[0][0] <= settled:
            times.append(self._replay_at)
        return min(times, default=None)

    @property
    def empty(self) -> bool:
        """Nothing is left that was not published."""
        return (
            self._live > self.keeper.last_place
            and not self._flying
            and not self._trials
            and not self._backlog
            and not self._has_losses()
        )

    def published(self, parcel: Parcel, took: float, now: float) -> None:
        """It was accepted, after so many seconds."""
        if parcel.gap is not None:
            self._losses_sent = (self.keeper.generation, parcel.upto)
        if parcel.pack is not None:
            self._leave(parcel.pack.first, parcel.pack.last)
            if parcel.source == "replay":
                share, rate = self.settings.replay_share, self.settings.replay_rate
                rest = max(took * (1 / share - 1), len(parcel.pack.readings) / rate - took)
                self._replay_at = now + rest

    def try_again(self, parcel: Parcel, trial: Trial) -> None:
        """It was not accepted; the same readings are to be tried once more, by themselves."""
        if parcel.pack is not None:
            self._leave(parcel.pack.first, parcel.pack.last)
            self._trials.append(trial)

    def split(self, parcel: Parcel) -> None:
        """One of its readings is bad: its halves are tried, each by itself."""
        if parcel.pack is None:
            return
        readings, first, last = parcel.pack.readings, parcel.pack.first, parcel.pack.last
        middle = first + readings[len(readings) // 2][4] - readings[0][4]
        self._leave(first, last)
        self._trials += [
            Trial(first=first, last=middle - 1, suspect=True),
            Trial(first=middle, last=last, suspect=True),
        ]

    async def bury(self, first: int, last: int, reason: str) -> None:
        """Gives these readings up."""
        self._leave(first, last)
        await self.keeper.bury(first, last, reason)

    def _note(self, parcel: Parcel) -> None:
        pack = parcel.pack
        if pack is not None and pack.epoch == self.keeper.epoch:
            self.attempted = max(self.attempted, pack.last_seq)
        if pack is not None and parcel.source == "live":
            self._live = max(self._live, pack.last + 1)
            self._flying.append((pack.first, pack.last))
        if parcel.gap is not None and parcel.gap.epoch == self.keeper.epoch:
            self.attempted = max(self.attempted, parcel.gap.lost[-1][1])

    def _leave(self, first: int, last: int) -> None:
        """These places have no turn any more."""
        over = [each for each in self._trials if each.first <= last and each.last >= first]
        for trial in over:  # what a smaller pack has left of it
            self._trials.remove(trial)
            self._backlog.append((trial.first, trial.last))
        self._backlog = _without(self._backlog, first, last)
        self._flying = _without(self._flying, first, last)
        if first >= self._live:
            self._live = last + 1

    async def _newest(self, moment: Moment) -> Parcel | Timeless | None:
        """The next live readings, if all before them are on the disk or acknowledged."""
        if not self.waiting:
            return None
        rows = await self.keeper.newest(self._live, MOST_READINGS + 1)
        parcel = self._packed("live", rows, moment)
        if isinstance(parcel, Parcel) and parcel.pack is not None and len(parcel.pack.readings) < len(rows):
            self._usual = len(parcel.pack.readings)
        return parcel

    async def _cut(
        self, source: Source, first: int, last: int, moment: Moment, trial: Trial | None = None
    ) -> Parcel | Timeless | None:
        rows = await self.keeper.page(first, last, MOST_READINGS + 1)
        return self._packed(source, rows, moment, trial)

    def _packed(
        self, source: Source, rows: Sequence[Row], moment: Moment, trial: Trial | None = None
    ) -> Parcel | Timeless | None:
        if not rows:
            return None
        pack = cut(rows, self.keeper, moment, self.most_bytes)
        return pack if isinstance(pack, Timeless) else Parcel(source=source, pack=pack, trial=trial)

    async def _trial(
        self, now: float, moment: Moment, wanted: Callable[[Trial], bool]
    ) -> Parcel | Timeless | None:
        """A trial that is due, of those that are wanted; it waits until it is on the disk."""
        for trial in sorted(self._trials, key=lambda each: each.not_before):
            if trial.not_before > now:
                break
            if not wanted(trial) or trial.last > self.keeper.settled_place:
                continue
            parcel = await self._cut("again", trial.first, trial.last, moment, trial)
            if parcel is not None:
                return parcel
            self._trials.remove(trial)  # acknowledged, or dropped
        return None

    async def _replay(self, moment: Moment) -> Parcel | Timeless | None:
        while self._backlog:
            first, last = self._backlog[0]
            last = min(last, self.keeper.settled_place)
            if first > last:
                return None  # not committed yet
            parcel = await self._cut("replay", first, last, moment)
            if parcel is not None:
                return parcel
            self._backlog = _without(self._backlog, first, last)
        return None

    def _has_losses(self) -> bool:
        generation, sent = self._losses_sent
        return self.keeper.newest_loss > (sent if generation == self.keeper.generation else 0)

    async def _loss(self) -> Parcel | None:
        while self._has_losses():
            generation, sent = self._losses_sent
            now = self.keeper.generation
            losses = await self.keeper.losses(sent if generation == now else 0, MOST_LOST)
            if not losses:
                return None
            sound = [loss for loss in losses if _is_sound(loss)]
            if sound:
                return Parcel(source="loss", gap=self._gap(sound), upto=self._told(sound)[-1].id)
            _LOGGER.warning("the outbox notes losses that cannot be; they are left out: %s", losses[:3])
            self._losses_sent = (now, losses[-1].id)
        return None

    def _told(self, losses: list[Loss]) -> list[Loss]:
        """The first of the losses that one record can tell: of one epoch and one reason, ascending."""
        told = losses[:1]
        for loss in losses[1:]:
            same = epoch_of(loss.first) == epoch_of(told[0].first) and loss.reason == told[0].reason
            if not same or loss.first <= told[-1].last:
                break
            told.append(loss)
        return told

    def _gap(self, losses: list[Loss]) -> Gap:
        told = self._told(losses)
        return Gap(
            epoch=self.keeper.epoch_by_id(epoch_of(told[0].first)).name,
            reason=told[0].reason,
            lost=tuple((seq_of(loss.first), seq_of(loss.last)) for loss in told),
        )


def _is_sound(loss: Loss) -> bool:
    """Whether it names numbers of one epoch."""
    return 0 < seq_of(loss.first) <= seq_of(loss.last) and epoch_of(loss.first) == epoch_of(loss.last)


def _without(spans: Iterable[Span], first: int, last: int) -> list[Span]:
    """The spans without these places."""
    left: list[Span] = []
    for start, end in spans:
        if end < first or start > last:
            left.append((start, end))
            continue
        if start < first:
            left.append((start, first - 1))
        if end > last:
            left.append((last + 1, end))
    return left
