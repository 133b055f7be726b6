"""Writes to the store, off the loop and in order; what waits, of all devices, goes into one transaction.

Nothing is acknowledged and nothing reaches a handler before it is in the store. While the store fails, what
came waits, then whoever brings more waits; devices keep what was not acknowledged.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from iotxmpp.backoff import Backoff
from iotxmpp.controller.jobs import Job, Writing, size_of
from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.store import BadRowError, Batch, Record, Store, Taken
from iotxmpp.errors import StoreError
from iotxmpp.readings import Reading

log = logging.getLogger(__name__)

MAX_JOBS = 500
"""Packs of one transaction."""

MAX_READINGS = 5000
"""Readings of one transaction, but for the last pack's."""

MAX_RECORDS = 500
"""Records of one transaction."""

MAX_WAITING = 16 * 1024 * 1024
"""About how many characters of packs, and of records, may wait each."""

GATHER = 0.02
"""Seconds from one transaction to the next, at least, while there is much to write.

One costs as much as a hundred readings, so under load fewer of them carry more. What comes by itself is
written at once.
"""

MUCH = 20
"""Readings of the last transaction from which on there is much to write; as are those of several packs."""

AHEAD = 4
"""Transactions whose packs may wait for handlers."""

_PATIENCE = 5.0

T = TypeVar("T")


class Writer:
    """A queue before the store, and one after it.

    A failing store is tried again until it works. A transaction that the database refuses for its values, not
    for its own state, is made again piece by piece, so that one bad row cannot hold up all others for ever.

    Args:
        store: Where everything goes; the writer closes it.
        on_failure: Called at each failed attempt.
        on_lost: Called with how many records could not be kept.
        backoff: When to try again.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_failure: Callable[[], None] = lambda: None,
        on_lost: Callable[[int], None] = lambda _count: None,
        backoff: Backoff | None = None,
    ) -> None:
        self._store = store
        self._on_failure = on_failure
        self._on_lost = on_lost
        # One thread, so that the order stays.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotxmpp-store")
        self._backoff = backoff or Backoff(first=0.5, longest=30.0)
        self._jobs: deque[tuple[Job, int]] = deque()
        self._records: deque[Record] = deque()
        self._jobs_size = self._records_size = 0
        self._pieces = 0
        self._again_at = 0.0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._pace = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()
        self._begun: asyncio.Queue[Writing] = asyncio.Queue(AHEAD)
        self._task = asyncio.create_task(self._run(), name="iotxmpp store writer")
        self._delivery = asyncio.create_task(self._deliver(), name="iotxmpp delivery")

    async def put(self, job: Job) -> None:
        """Puts a job in the queue; waits while it is full. At the end, jobs are dropped: they come again."""
        size = job.size
        while self._jobs and self._jobs_size + size > MAX_WAITING and not self._closing.is_set():
            self._room.clear()
            await self._room.wait()
        if self._closing.is_set():
            return
        self._jobs.append((job, size))
        self._jobs_size += size
        self._rouse()

    def keep(self, record: Record) -> None:
        """Puts a record in the queue; never waits."""
        size = size_of(record)
        if self._closing.is_set() or self._records_size + size > MAX_WAITING:
            log.error("not kept, the store does not take any: %s", record)
            self._on_lost(1)
            return
        self._records.append(record)
        self._records_size += size
        self._rouse()

    async def rejections(
        self, device: str | None = None, since: float | None = None, limit: int = 100
    ) -> list[Rejection]:
        """The newest kept rejections, the oldest of them first; those that wait are written before.

        Raises:
            StoreError: They could not be read.
        """
        with suppress(TimeoutError):  # a failing store must not hide what it kept before
            async with asyncio.timeout(_PATIENCE):
                await self._idle.wait()
        return await self._call(lambda: self._store.rejections(device, since, limit))

    async def upto(self, device: str) -> dict[str, int]:
        """Up to where each epoch of a device is settled, of those that were seen last.

        Raises:
            StoreError: It could not be read.
        """
        return await self._call(lambda: self._store.upto(device))

    async def latest(self, device: str) -> list[Reading]:
        """The newest reading of each channel of a device, of those that did not come late.

        Raises:
            StoreError: They could not be read.
        """
        return await self._call(lambda: self._store.latest(device))

    async def between(self, work: Callable[[], T]) -> T:
        """Does some blocking work of the store's between two transactions; whoever came before goes first.

        Raises:
            StoreError: The work says so.
        """
        return await self._call(work)

    async def drain(self) -> None:
        """Waits some seconds until what waits is committed and with the handlers."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._idle.wait()
                await self._begun.join()

    async def close(self) -> None:
        """Writes the records that wait, and closes the store.

        Records that a failing store then refuses are lost, and logged. Packs that wait are dropped: they
        were not acknowledged, and come again.
        """
        self._closing.set()
        self._wake.set()
        self._room.set()
        self._pace.set()
        self._jobs.clear()
        try:
            await asyncio.shield(self._task)
        finally:
            self._task.cancel()
            self._delivery.cancel()
            await asyncio.gather(self._delivery, return_exceptions=True)
            # In its thread, because a call that nobody waits for any more may be under way there.
            await asyncio.shield(self._call(self._store.close))
            self._thread.shutdown(wait=False)

    def _rouse(self) -> None:
        self._idle.clear()
        self._wake.set()

    def _call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Does work in the store's thread.

        As `run_in_executor` does, without a second future, which makes the way back twice as long.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def do() -> None:
            if done.cancelled():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # raised where it is waited for
                loop.call_soon_threadsafe(_fail, done, error)
            else:
                loop.call_soon_threadsafe(_finish, done, result)

        self._thread.submit(do)
        return done

    async def _run(self) -> None:
        while await self._something():
            await self._gather()
            await self._keep_pace()
            if not (self._jobs or self._records):  # the end dropped them
                continue
            jobs, records = self._cut()
            self._began(jobs)
            batch = Batch(arrivals=[job.arrival for job in jobs], records=records)
            writing = Writing(jobs, self._call(partial(self._store.take, batch)))
            if jobs:
                with suppress(asyncio.QueueFull):  # only at the end
                    self._begun.put_nowait(writing)
            try:
                await writing.committed()
            except Exception as error:  # noqa: BLE001  # told, and none of it is lost by it
                await self._failed(error, jobs, records)
                continue
            self._backoff.reset()
            self._pieces = max(0, self._pieces - 1)
            self._forget(len(jobs), len(records))

    async def _something(self) -> bool:
        while not (self._jobs or self._records):
            self._idle.set()
            if self._closing.is_set():
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    async def _gather(self) -> None:
        """While there is much to write, lets more of it come."""
        rest = self._again_at - time.monotonic()
        if rest > 0 and len(self._jobs) < MAX_JOBS:
            await self._wait(rest)

    def _began(self, jobs: list[Job]) -> None:
        """A transaction begins."""
        much = len(jobs) > 1 or sum(len(job.arrival.readings) for job in jobs) >= MUCH
        self._again_at = time.monotonic() + GATHER if much else 0.0

    def _cut(self) -> tuple[list[Job], list[Record]]:
        """What goes into the next transaction."""
        if self._pieces:
            return ([], [self._records[0]]) if self._records else ([self._jobs[0][0]], [])
        jobs: list[Job] = []
        readings = 0
        for job, _ in self._jobs:
            if len(jobs) >= MAX_JOBS or readings >= MAX_READINGS:
                break
            jobs.append(job)
            readings += len(job.arrival.readings)
        return jobs, [self._records[n] for n in range(min(MAX_RECORDS, len(self._records)))]

    def _forget(self, jobs: int, records: int) -> None:
        for _ in range(min(jobs, len(self._jobs))):  # the end may have dropped them
            self._jobs_size -= self._jobs.popleft()[1]
        for _ in range(records):
            self._records_size -= size_of(self._records.popleft())
        self._room.set()

    async def _failed(self, error: Exception, jobs: list[Job], records: list[Record]) -> None:
        self._on_failure()
        if isinstance(error, StoreError) and not isinstance(error, BadRowError):
            log.error("%s packs and %s records wait: %s", len(self._jobs), len(self._records), error)
            if self._closing.is_set():
                self._give_up()
            else:
                await self._pause()
        elif len(jobs) + len(records) > 1:
            log.error("%s packs and %s records, now one by one: %s", len(jobs), len(records), error)
            self._pieces = len(jobs) + len(records)
        else:
            log.error("the store does not take this: %s", jobs or records, exc_info=error)
            self._spoilt(error)

    def _spoilt(self, error: Exception) -> None:
        """The first thing that waits is nothing that the store can hold."""
        if self._records:
            self._forget(0, 1)
            self._on_lost(1)
        elif self._jobs:
            job = self._jobs[0][0]
            self._forget(1, 0)
            if job.arrival.readings:
                job = job.without_readings(error)
                self._jobs.appendleft((job, job.size))
                self._jobs_size += job.size
                self._pieces += 1

    async def _pause(self) -> None:
        """Waits for the next attempt, or for the end."""
        await self._wait(self._backoff.next_delay())

    async def _wait(self, seconds: float) -> None:
        """Waits so long, or for the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _give_up(self) -> None:
        log.error("%s records could not be kept: the store failed to the end", len(self._records))
        self._on_lost(len(self._records))
        self._records.clear()

    async def _keep_pace(self) -> None:
        """Waits while the handlers are too far behind, but not beyond the end."""
        while self._begun.full() and not self._closing.is_set():
            self._pace.clear()
            await self._pace.wait()

    async def _deliver(self) -> None:
        while True:
            writing = await self._begun.get()
            self._pace.set()
            with suppress(Exception):  # of the store: the writer tells it, and tries again
                for job, taken in await writing.committed():
                    await _give(job, taken)
            self._begun.task_done()


async def _give(job: Job, taken: Taken) -> None:
    try:
        await job.deliver(taken)
    except Exception:
        log.exception("readings of %s could not be given to handlers", job.arrival.device)


def _finish(done: asyncio.Future[T], result: T) -> None:
    if not done.cancelled():
        done.set_result(result)


def _fail(done: asyncio.Future[T], error: BaseException) -> None:
    if not done.cancelled():
        done.set_exception(error)
