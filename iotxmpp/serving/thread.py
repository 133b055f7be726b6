"""One thread of its own, for calls that block and must come from one thread."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class OneThread:
    """Runs calls one after another, in the order in which they were asked for."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:  # noqa: ANN401  # passed on
        """Runs a call, and returns or raises what it does; once asked for, it runs even if nobody waits."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:  # noqa: ANN401  # what the call gives
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def work() -> None:
            result, fault = None, None
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # it is raised where the call is awaited
                fault = error
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(partial(settle, result, fault))

        self._jobs.put(work)
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
