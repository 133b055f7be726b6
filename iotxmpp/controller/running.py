"""Runs a controller until a signal ends it."""

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from iotxmpp.errors import IotxmppError

FAILED = 1
"""The exit code of a program that could not start."""


def run_until_signal(entered: AbstractAsyncContextManager[Any]) -> None:
    """Enters it, and leaves it at SIGINT or SIGTERM; a second signal does not wait for the end.

    Raises:
        SystemExit: It raised an error of ours; one line on standard error says which.
    """
    try:
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(_run(entered))
    except IotxmppError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # for who started the script
        raise SystemExit(FAILED) from None


async def _run(entered: AbstractAsyncContextManager[Any]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only the main thread may; elsewhere whoever started the loop ends it.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, task.cancel)
    async with entered:
        await asyncio.Event().wait()
