"""Running from a script: signals, logging, and errors in one line."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from iotxmpp.errors import IotxmppError

_LOGGER = logging.getLogger(__name__)


def run_script(serve: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Runs until it ends, or SIGINT or SIGTERM comes.

    Args:
        serve: Makes what runs; it is cancelled at a signal.
        name: What runs, for messages.

    Raises:
        SystemExit: It ended with an error of ours; the error is the one line that is printed, the code is 1.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("slixmpp").setLevel(logging.WARNING)
    try:
        asyncio.run(_until_signal(serve()))
    except IotxmppError as error:
        raise SystemExit(f"{name}: {error}") from error
    _LOGGER.info("%s has stopped", name)


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work, name="serve")
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, task.cancel)
    try:
        await asyncio.wait({task})
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
        task.cancel()
    if not task.cancelled():
        task.result()
