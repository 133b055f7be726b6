"""The background tasks of a running agent: kept, named, cancelled at the end; none fails unseen."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_LOGGER = logging.getLogger(__name__)


class Tasks:
    """A set of tasks that run until they are cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = asyncio.Event()
        self._error: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Starts a task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel(self, *tasks: asyncio.Task[None]) -> None:
        """Cancels these tasks, or all, and waits for their end."""
        ending = [task for task in (tasks or self._tasks) if not task.done()]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def failure(self) -> None:
        """Returns never; raises what a task failed with."""
        await self._failed.wait()
        if self._error is not None:
            raise self._error

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _LOGGER.critical("%s failed, which is a fault of iotxmpp", task.get_name(), exc_info=error)
            self._error = error
            self._failed.set()
