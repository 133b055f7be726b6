"""Writes rejections to the store, off the loop and in order; what waits goes into one transaction."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from iotxmpp.backoff import Backoff
from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.store import Store
from iotxmpp.errors import StoreError

log = logging.getLogger(__name__)

MAX_BATCH = 500
MAX_WAITING = 16 * 1024 * 1024
"""Characters of rejections that wait for a failing disk."""

_OVERHEAD = 512
_PATIENCE = 5.0


class RejectionWriter:
    """A queue before the store.

    A failing store is tried again until it works; meanwhile readings flow, and rejections wait up to a bound.

    Args:
        store: Where they go; the writer closes it.
        on_failure: Called at each failed attempt.
        on_lost: Called with how many rejections could not be kept.
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
        self._backoff = backoff or Backoff(first=0.5, longest=30.0)
        self._waiting: deque[Rejection] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._closing = asyncio.Event()
        # One thread, so that the order stays.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotxmpp-store")
        self._task = asyncio.create_task(self._run(), name="iotxmpp rejection writer")

    def keep(self, rejection: Rejection) -> None:
        """Puts a rejection in the queue; never waits."""
        size = len(rejection.payload) + _OVERHEAD
        if self._closing.is_set() or self._size + size > MAX_WAITING:
            log.error("rejection not kept, the store does not take any: %s", rejection)
            self._on_lost(1)
            return
        self._waiting.append(rejection)
        self._size += size
        self._written.clear()
        self._wake.set()

    async def rejections(
        self, device: str | None = None, since: float | None = None, limit: int = 100
    ) -> list[Rejection]:
        """The newest kept rejections, the oldest of them first; those that wait are written before.

        Raises:
            StoreError: They could not be read.
        """
        with suppress(TimeoutError):  # a failing store must not hide what it kept before
            async with asyncio.timeout(_PATIENCE):
                await self._written.wait()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._store.rejections, device, since, limit)

    async def close(self) -> None:
        """Writes what waits, and closes the store. What a failing store then refuses is lost, and logged."""
        self._closing.set()
        self._wake.set()
        try:
            await asyncio.shield(self._task)
        finally:
            self._task.cancel()
            self._thread.shutdown(wait=False)
            self._store.close()

    async def _run(self) -> None:
        while await self._something():
            batch = [self._waiting[n] for n in range(min(MAX_BATCH, len(self._waiting)))]
            if await self._write(batch):
                self._forget(len(batch))
            elif self._closing.is_set():
                self._give_up()
            else:
                await self._pause()

    async def _something(self) -> bool:
        while not self._waiting:
            self._written.set()
            if self._closing.is_set():
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    async def _write(self, batch: list[Rejection]) -> bool:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._store.keep_rejections, batch)
        except StoreError as error:
            log.error("%s rejections wait: %s", len(self._waiting), error)  # noqa: TRY400  # one line says it
            self._on_failure()
            return False
        except Exception:
            log.exception("%s rejections could not be kept", len(batch))
            self._on_lost(len(batch))
        self._backoff.reset()
        return True

    async def _pause(self) -> None:
        """Waits for the next attempt, or for the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._backoff.next_delay()):
                await self._closing.wait()

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._size -= len(self._waiting.popleft().payload) + _OVERHEAD

    def _give_up(self) -> None:
        log.error("%s rejections could not be kept: the store failed to the end", len(self._waiting))
        self._on_lost(len(self._waiting))
        self._waiting.clear()
        self._size = 0
