"""One thread of its own, for calls that block and must come from one thread."""

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from iotxmpp.serving.offloop import settling

T = TypeVar("T")


class OneThread:
    """Runs calls one after another, in the order in which they were asked for."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:  # noqa: ANN401  # passed on
        """Runs a call, and returns or raises what it does; once asked for, it runs even if nobody waits."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(settling(future, partial(function, *args, **kwargs)))
        return await future

    def post(self, function: Callable[..., None], /, *args: Any) -> None:  # noqa: ANN401  # passed on
        """Asks for a call for which nobody waits; it must not raise."""
        self._jobs.put(partial(function, *args))

    def stop(self) -> None:
        """Ends the thread after what it was asked for."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
