"""Waiting for the end: a signal, a time, or something that ends by itself."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from iotxmpp.errors import IotxmppError


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """Gives an event that SIGINT, SIGTERM and SIGHUP set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        yield stop
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def until_signal(work: Awaitable[object], ended: str) -> None:
    """Waits for a signal.

    Args:
        work: What should outlast us.
        ended: What to say if it ends before.

    Raises:
        IotxmppError: It did.
    """
    async with stopping() as stop:
        running = asyncio.ensure_future(work)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            stopped.cancel()
            running.result()
            raise IotxmppError(ended)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def wait_at_most(stop: asyncio.Event, seconds: float | None) -> None:
    """Waits for the event, for so many seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
