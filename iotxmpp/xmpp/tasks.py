"""The background tasks of a link: kept, named, cancelled at the end; none fails unseen."""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger("iotxmpp.xmpp")


class Tasks:
    """Tasks that run until they end by themselves or are cancelled together.

    Args:
        account: The bare JID whose link it is.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None], name: str) -> None:
        """Starts a task."""
        task = asyncio.create_task(work, name=f"iotxmpp {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """Cancels all of them, and waits for their end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s of %s failed", task.get_name(), self._account, exc_info=error)
