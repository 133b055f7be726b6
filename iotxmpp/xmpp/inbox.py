"""What arrived, handed to its handlers one at a time, in order, with back-pressure."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

log = logging.getLogger("iotxmpp.xmpp")

FULL = 10_000
"""At so many waiting items the socket is read no further, until half of them are handled."""

Job = tuple[Callable[[Any], Awaitable[None]], Any]


class Inbox:
    """A queue and the one task that empties it."""

    def __init__(self, *, pause: Callable[[], None], resume: Callable[[], None], full: int = FULL) -> None:
        self._pause = pause
        self._resume = resume
        self._full = full
        self._paused = False
        self._queue: deque[Job] = deque()
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._released = asyncio.Event()
        self._released.set()

    @property
    def paused(self) -> bool:
        """Whether the socket waits for the handlers."""
        return self._paused

    def start(self) -> None:
        """Starts handing out."""
        self._task = asyncio.create_task(self._hand_out(), name="iotxmpp inbox")

    async def stop(self) -> None:
        """Ends the task; what still waits is dropped with the link."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._queue.clear()
        self._paused = False
        self._released.set()

    def put(self, handler: Callable[[Any], Awaitable[None]], what: Any) -> None:
        """Adds a job; past the bound, the socket is told to wait."""
        self._queue.append((handler, what))
        self._came.set()
        if self._released.is_set():
            self._wait_if_full()

    def _wait_if_full(self) -> None:
        if not self._paused and len(self._queue) >= self._full:
            log.warning("handlers are %d items behind; reading waits for them", self._full)
            self._paused = True
            self._pause()

    def hold(self) -> None:
        """A session begins: what arrives waits until it is up, and the socket is read on."""
        self._released.clear()

    def release(self) -> None:
        """Hands out again; a new socket must wait as the old one did."""
        self._released.set()
        if self._paused:
            self._pause()
        else:
            self._wait_if_full()

    async def _hand_out(self) -> None:
        while True:
            while not self._queue:
                self._came.clear()
                await self._came.wait()
            await self._released.wait()
            handler, what = self._queue.popleft()
            try:
                await handler(what)
            except Exception:
                log.exception("a handler raised on %s", type(what).__name__)
            if self._paused and len(self._queue) <= self._full // 2:
                self._paused = False
                self._resume()
