"""What SIGINT, SIGTERM and SIGHUP do to a command: it cleans up, and ends."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def interruptible() -> AsyncIterator[None]:
    """Leaves the body at a signal, wherever it waits.

    Further signals do not disturb the body while it cleans up.
    """
    task, interrupted = asyncio.current_task(), False
    if task is None:
        raise RuntimeError("only a task can be interrupted")

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    with _at_signals(interrupt):
        try:
            yield
        except asyncio.CancelledError:
            if not interrupted or task.uncancel() > 0:
                raise


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """Gives an event that a signal sets; the body goes on."""
    stop = asyncio.Event()
    with _at_signals(stop.set):
        yield stop


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Runs the work, or ends it when the event is set; says whether it came to its own end."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


@contextmanager
def _at_signals(call: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, call)
    try:
        yield
    finally:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
