"""The outbox that goes on: on disk while the disk works, in memory while it does not, and back again."""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from iotxmpp.agent.outbox.damage import Damage, open_outbox, start_anew
from iotxmpp.agent.outbox.known import Epochs, stock_of
from iotxmpp.agent.outbox.notes import reserved_after, with_reserve
from iotxmpp.agent.outbox.owed import Owed
from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import SPARE_EPOCHS, DeadLetter, Epoch, Loss, Row, Stock, seq_of
from iotxmpp.agent.outbox.schema import FAULTS, is_corrupt
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox, MemoryOutbox
from iotxmpp.agent.outbox.trouble import Reporter, Trouble
from iotxmpp.backoff import Backoff
from iotxmpp.delivery import GapReason
from iotxmpp.errors import StoreError
from iotxmpp.serving.thread import OneThread

State = Literal["disk", "memory"]

MOVED_AT_ONCE = 2000
"""Readings that go from memory to disk in one transaction, when the disk works again."""

REPLACED_IN = 0.1
"""Seconds after which to look again whether a damaged file is replaced."""

_LOGGER = logging.getLogger(__name__)


class SafeOutbox:
    """An outbox whose calls do not block, and do not fail because of the disk.

    A file that is damaged is moved aside, and what is known to have been in it is noted as lost; likewise
    where it is gone or empty although the note beside it tells of readings. While the file cannot be written,
    readings are kept in memory, within narrower bounds; `mend` takes them to disk.

    Attributes:
        epochs: What is known of the epochs.
        generation: Grows when the ids of losses begin anew.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        limits: Limits,
        memory_limits: Limits,
        problems: Reporter,
        backoff: Callable[..., Backoff] = Backoff,
    ) -> None:
        """Makes one; nothing is opened yet.

        Args:
            path: Its file; None to keep all in memory.
            limits: The file's bounds.
            memory_limits: Those in memory.
            problems: Where to say what does not work.
            backoff: Makes the delays between attempts.
        """
        self.epochs = Epochs()
        self.generation = 0
        self._path = path
        self._limits = limits
        self._memory_limits = memory_limits
        self._trouble = Trouble(path, problems, backoff(first=1.0, longest=60.0))
        self._thread: OneThread | None = None
        self._disk: DiskOutbox | None = None
        self._writable = False
        self._memory = MemoryOutbox(memory_limits)
        self._owed = Owed()
        self._dropped = 0
        self._reserved = -1
        self._replacing = self._marks = False

    @property
    def state(self) -> State:
        """Where new readings are kept."""
        return "disk" if self._writable else "memory"

    @property
    def limits(self) -> Limits:
        """The bounds that hold now."""
        return self._limits if self._writable else self._memory_limits

    @property
    def stock(self) -> Stock:
        """What is held."""
        memory = self._memory.stock
        if self._disk is None:
            return replace(memory, dropped=memory.dropped + self._dropped)
        owed, dropped = self._owed.held, self._dropped
        return stock_of(self._disk.stock, memory, done=owed, dropped=dropped, writable=self._writable)

    @property
    def active(self) -> Stock:
        """What is held where new readings are kept; `limits` bound it."""
        return self._disk.stock if self._writable and self._disk is not None else self._memory.stock

    @property
    def mend_at(self) -> float | None:
        """When the disk is worth another attempt, by the monotonic clock; None while there is no need."""
        if self._replacing:
            return time.monotonic() + REPLACED_IN
        return None if self._path is None or self._writable else self._trouble.mend_at

    async def open(self, name: str, boot: str) -> None:
        """Opens it and begins an epoch.

        Args:
            name: The epoch's name.
            boot: The run of the system that it belongs to.

        Raises:
            StoreError: The file is another agent's, another program's, or of another version; nothing was
                changed.
        """
        number = SPARE_EPOCHS + secrets.randbelow(SPARE_EPOCHS)
        if self._path is None:
            number = 1
        else:
            self._thread = OneThread("outbox")
            try:
                number = await self._open_file() or number
            except BaseException:
                self._memory.close()
                self._thread.stop()
                raise
        current = Epoch(id=number, name=name, boot=boot)
        self.epochs.begin(current)
        self._memory.begin(current)
        await self._on_disk("begin", current)
        self._reserve(0)
        await self._on_disk("start", current)

    async def close(self) -> None:
        """Closes it."""
        self._memory.close()
        if self._thread is not None:
            try:
                if self._disk is not None:
                    await self._on_disk("set_attempted", self.epochs.attempted())
                    self._note(self.epochs.by_id.values(), None)
                    await self._thread.call(self._disk.close)
            except FAULTS as error:
                _LOGGER.warning("outbox %s: %s", self._path, error)
            finally:
                self._thread.stop()

    async def write(
        self,
        rows: Sequence[Row] = (),
        *,
        trims: Iterable[Span] = (),
        revived: Iterable[int] = (),
        now: float | None = None,
    ) -> None:
        """Keeps readings, as `Outbox.write` does; in memory if the disk fails."""
        trims, revived = tuple(trims), tuple(revived)
        options = {"trims": trims, "revived": revived, "now": now}
        if rows:
            self._reserve(seq_of(rows[-1].place))
        if await self._on_disk("write", tuple(rows), **options):
            if self._memory.stock.held and trims:
                self._memory.write(trims=trims)
            self._know(rows, trims)
            return
        self._memory.write(rows, **options)  # type: ignore[arg-type]  # each fits its own parameter
        self._know(rows, trims)
        if self._path is not None:
            self._owed.take(trims=trims, revived=revived)
            await self._count_owed()

    async def page(self, first: int, last: int, most: int) -> list[Row]:
        """The first readings between two places."""
        rows: list[Row] = []
        for _ in range(2):  # a second time after a damaged file was replaced
            if self._disk is None or self._thread is None:
                break
            try:
                rows = await self._thread.call(self._disk.page, first, last, most)
                break
            except FAULTS as error:
                await self._fail(error)
        if not self._memory.stock.held:
            return rows
        both = {row.place: row for row in merge(rows, self._memory.page(first, last, most))}
        return list(islice(both.values(), most))

    async def losses(self, after: int, most: int) -> list[Loss]:
        """Losses with a greater id; a new `generation` counts anew."""
        if self._writable and self._disk is not None and self._thread is not None:
            try:
                return await self._thread.call(self._disk.losses, after, most)
            except FAULTS as error:
                await self._fail(error)
                return []
        return self._memory.losses(after, most)

    async def bury(self, first: int, last: int, reason: str) -> None:
        """Makes dead letters of the readings between two places."""
        if self._memory.stock.held:
            self._memory.bury(first, last, reason)
        if not await self._on_disk("bury", first, last, reason) and self._path is not None:
            self._owed.buried.append((first, last, reason))

    async def lose(self, first: int, last: int, reason: GapReason) -> None:
        """Notes that these places, just below those that are held, will never be published."""
        if first > last:
            return
        if not await self._on_disk("lose", first, last, reason):
            self._memory.lose(first, last, reason)
        self.epochs.lost_from(first)

    def given_out(self, place: int) -> None:
        """The reading of that place is given to the link now, as were those before it."""
        if self.epochs.given_out(place) and self._thread is not None and not self._marks:
            self._marks = True  # one that waits for its turn tells of those that follow, too
            self._thread.post(self._mark_attempt)

    def _mark_attempt(self) -> None:
        """Has the newest number that was given out marked; in the outbox's thread."""
        self._marks = False
        if self._disk is not None:
            self._disk.attempt(self.epochs.current.attempted)

    async def set_offset(self, boot: str, offset: float) -> None:
        """The clock was set in that run of the system."""
        self.epochs.set_offset(boot, offset)
        await self._on_disk("set_offset", boot, offset)

    async def letters_to_retry(self) -> list[DeadLetter]:
        """Dead letters that somebody wants to be tried again."""
        if not self._writable or self._disk is None or self._thread is None:
            return []
        try:
            return await self._thread.call(self._disk.letters, retry=True)
        except FAULTS as error:
            await self._fail(error)
            return []

    async def mend(self) -> None:
        """Tries to use the disk again, and takes to it what is in memory."""
        if self.mend_at is None or self._thread is None or self._replacing:
            return
        try:
            if self._disk is not None:
                disk, self._disk = self._disk, None
                self._dropped += disk.stock.dropped
                await self._thread.call(disk.close)
            if await self._open_file() is None:
                return
            for epoch in self.epochs.by_id.values():
                await self._do("begin", epoch)
            self._reserved = -1
            self._reserve(seq_of(self.epochs.current.last))
            await self._do("start", self.epochs.current)
            await self._settle()
            await self._move()
        except StoreError as error:
            self._writable = False
            self._trouble.put_off(error)
        except FAULTS as error:
            await self._fail(error)
        else:
            self._trouble.works()

    async def _open_file(self) -> int | None:
        """Opens the file, if it can be; the id of the next epoch."""
        if self._path is None or self._thread is None:
            return None
        try:
            opened = await self._thread.call(open_outbox, self._path, self._limits, self._on_file())
        except StoreError:
            raise
        except BlockingIOError as error:
            raise StoreError(
                f"outbox {self._path}: another agent uses it; end that one, or give each its own"
            ) from error
        except FAULTS as error:
            self._trouble.put_off(error)
            return None
        await self._begin_with(*opened)
        self.generation += 1
        return await self._thread.call(opened[0].next_epoch)

    async def _on_disk(self, name: str, *arguments: Any, **options: Any) -> bool:  # noqa: ANN401  # passed on
        """Whether the disk did it; it is tried a second time after a damaged file was replaced."""
        for _ in range(2):
            if not self._writable:
                return False
            try:
                await self._do(name, *arguments, **options)
            except FAULTS as error:
                await self._fail(error)
            else:
                return True
        return False

    async def _do(self, name: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # passed on
        if self._thread is not None and self._disk is not None:
            await self._thread.call(getattr(self._disk, name), *arguments, **options)

    async def _fail(self, error: Exception) -> None:
        self._writable = False
        self.generation += 1
        if not is_corrupt(error) or self._replacing:
            self._trouble.put_off(error)
            return
        self._replacing = True
        try:
            if self._disk is not None and self._thread is not None:
                disk, self._disk = self._disk, None
                self._dropped += disk.stock.dropped
                await self._thread.call(disk.close)
            await self._set_aside(error)
        finally:
            self._replacing = False
        self._writable = self._writable and not self._memory.stock.held  # `mend` moves what came meanwhile

    async def _set_aside(self, error: Exception) -> None:
        """Moves a damaged file away and begins a new one, if it can; what was in it is noted as lost."""
        if self._path is None or self._thread is None:
            return
        try:
            held = self._on_file()
            opened = await self._thread.call(start_anew, self._path, self._limits, held, str(error))
            await self._begin_with(*opened)
            await self._do("start", self.epochs.current)
        except FAULTS as fault:
            self._writable = False
            self._trouble.put_off(fault)

    def _on_file(self) -> list[Epoch]:
        """What is known to be in the file: all that is held, and not in memory."""
        return self.epochs.without(self._memory.epochs())

    async def _begin_with(self, disk: DiskOutbox, damage: Damage | None) -> None:
        self._disk = disk
        self._writable = True
        if self._thread is not None:
            self.epochs.found(await self._thread.call(disk.epochs))
        if damage is not None:
            self._trouble.damaged(damage)

    async def _count_owed(self) -> None:
        """Counts what is done with, and still on the disk that cannot be written."""
        if self._disk is None or self._thread is None:
            return
        try:
            counts = [await self._thread.call(self._disk.count, *span) for span in self._owed.spans()]
        except FAULTS as error:
            await self._fail(error)
        else:
            self._owed.held = sum(counts)

    async def _settle(self) -> None:
        """Does on disk what could not be done while it failed."""
        spans = self._owed.spans()
        await self._do("write", (), trims=spans, revived=tuple(self._owed.revived))
        for burial in self._owed.buried:
            await self._do("bury", *burial)
        self._owed = Owed()

    async def _move(self) -> None:
        """Takes what is in memory to disk."""
        memory = self._memory
        await self._do("absorb", (), memory.losses(0, 1_000_000), memory.letters())
        while rows := memory.page(0, 2**63 - 1, MOVED_AT_ONCE):
            await self._do("absorb", rows, (), ())
            memory.remove(rows[0].place, rows[-1].place)
        self._dropped += memory.stock.dropped
        self._memory = MemoryOutbox(self._memory_limits)
        self._memory.begin(self.epochs.current)
        memory.close()

    def _reserve(self, seq: int) -> None:
        """Has numbers up to this one noted beside the file, and some more, before they are written to it."""
        if self._writable and seq > self._reserved:
            self._reserved = reserved_after(seq)
            current = self.epochs.current
            self._note(with_reserve(self.epochs.by_id.values(), current.id, self._reserved), current.name)

    def _note(self, epochs: Iterable[Epoch], running: str | None) -> None:
        if self._disk is not None and self._thread is not None and self._writable:
            self._thread.post(self._disk.note, tuple(epochs), running)

    def _know(self, rows: Sequence[Row], trims: Iterable[Span]) -> None:
        """Follows what places are held of each epoch."""
        self.epochs.written(rows, trims)
        if trims:
            self._trouble.acknowledged(self.epochs.by_id)
