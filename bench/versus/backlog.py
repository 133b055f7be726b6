"""An outbox with the readings of an earlier run."""

import asyncio
import time
from pathlib import Path

from iotxmpp.agent.clock import Clock
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.presence import Problems
from versus.feeds import value

BYTES = 512 * 2**20
_TOGETHER = 1_000


async def fill(path: Path, readings: int) -> None:
    """Makes the outbox, and leaves so many readings of the last hour in it."""
    limits = Limits(bytes=BYTES)
    outbox = SafeOutbox(path, limits=limits, memory_limits=limits, problems=Problems())
    keeper = Keeper(outbox, clock=Clock(), epoch="earlier")
    await keeper.open()
    running = asyncio.create_task(keeper.run())
    since = time.time() - 3600
    for number in range(readings):
        reading, at = {"temperature": (value(number), "Cel")}, since + 3600 * number / readings
        if number % _TOGETHER == 0 or number == readings - 1:
            await keeper.keep(reading, at)
        else:
            keeper.take(reading, at)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.close()
