"""What every end of a comparison does: it obeys orders, one after another, and answers each with a line."""

import json
import resource
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orders import Orders

Order = dict[str, Any]
Work = Callable[[Order], Awaitable[Mapping[str, Any]]]


async def obey(orders: Orders, works: Mapping[str, Work]) -> None:
    """Does what it is told to by `works`, and tells its processor time on `cpu`, until the bench ends."""
    async for line in orders:
        order: Order = json.loads(line)
        answer = {"cpu": cpu_seconds()} if order["do"] == "cpu" else await works[order["do"]](order)
        print(json.dumps(answer), flush=True)


def cpu_seconds() -> float:
    """Processor time of this process so far, user and system, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
