"""One handler at work: a bounded queue and a task of its own."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from iotxmpp.controller.handlers import Caller, Function, name_of

log = logging.getLogger(__name__)

QUEUE = 1000
"""Calls that wait for one handler."""

REMIND = 60.0
"""Seconds between two warnings of a slow handler."""

Arguments = tuple[tuple[object, ...], Mapping[str, object]]

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """One handler's queue and task.

    Args:
        function: The user's function.
        prepare: The arguments of a call; None where it is not to be made.
        on_error: Told the handler's name each time that it raises.
    """

    def __init__(
        self, function: Function, prepare: Callable[[Job], Arguments | None], on_error: Callable[[str], None]
    ) -> None:
        self.name = name_of(function)
        self._caller = Caller.of(function)
        self._prepare = prepare
        self._on_error = on_error
        self._queue: asyncio.Queue[Job] = asyncio.Queue(QUEUE)
        self._warned: float | None = None
        self._task = asyncio.create_task(self._run(), name=f"iotxmpp handler {self.name}")

    async def put(self, job: Job) -> None:
        """Puts a call in the queue; waits while it is full."""
        now = time.monotonic()
        if self._queue.full() and (self._warned is None or now - self._warned > REMIND):
            self._warned = now
            log.warning("handler %s is slow: %s calls wait; readings wait for it now", self.name, QUEUE)
        await self._queue.put(job)

    async def finish(self) -> None:
        """Waits until the queue is empty."""
        await self._queue.join()

    async def close(self) -> None:
        """Ends the task; says how many calls are left."""
        left = self._queue.qsize()
        if left:
            log.warning("handler %s: %s calls were not made before the end", self.name, left)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._caller.close()

    async def _run(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                arguments = self._prepare(job)
                if arguments is not None:
                    await self._caller(*arguments[0], **arguments[1])
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self._failed(error)
            except Exception as error:  # noqa: BLE001  # logged and counted; the next call is made
                self._failed(error)
            finally:
                self._queue.task_done()

    def _failed(self, error: BaseException) -> None:
        log.error("handler %s raised", self.name, exc_info=error)
        self._on_error(self.name)
