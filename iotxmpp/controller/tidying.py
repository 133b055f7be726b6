"""Retention while a controller runs: small steps, each between two transactions of the writer."""

import asyncio
import logging
from collections import Counter

from iotxmpp.controller.store import Memory, Retention, Store, sweep
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import StoreError

log = logging.getLogger(__name__)

EVERY = 600.0
"""Seconds from one sweep to the next."""

PAUSE = 0.05
"""Seconds between two steps, for other programs that write to the same store."""


async def tidy_for_ever(
    writer: Writer, store: Store, retention: Retention, *, every: float = EVERY, pause: float = PAUSE
) -> None:
    """Lets go of what is older than the retention, again and again.

    A step is one small transaction, or a short look, in the writer's own thread: what a device sends waits
    for one step at most. A failing store is tried again at the next sweep.

    Args:
        writer: The writer.
        store: Its store.
        retention: What is kept.
        every: Seconds from one sweep to the next.
        pause: Seconds between two steps.
    """
    memory = Memory()
    while True:
        try:
            await _tidy(writer, store, retention, memory, pause)
        except StoreError as error:
            log.warning("nothing more is tidied up for %.0f s: %s", every, error)
        await asyncio.sleep(every)


async def _tidy(writer: Writer, store: Store, retention: Retention, memory: Memory, pause: float) -> None:
    steps = sweep(store.database, retention, memory=memory)
    gone: Counter[str] = Counter()
    while (chunk := await writer.between(lambda: next(steps, None))) is not None:
        if chunk.rows:
            gone[chunk.table] += chunk.rows
        await asyncio.sleep(pause)
    if gone:
        log.info("retention: %s", ", ".join(f"{rows} {table}" for table, rows in gone.items()))
