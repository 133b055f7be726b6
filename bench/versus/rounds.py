"""One round: a warm-up, then so many readings, from the first call until all are committed."""

import json
from dataclasses import dataclass
from typing import Any

from versus.processes import ask
from versus.processor import busy_seconds
from versus.sides import Pair

WARM_UP = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What one round measured.

    Attributes:
        rate: Readings a second.
        device: Processor time of the device's process for each reading, in µs.
        server: Likewise of the server's.
        consumer: Likewise of the consumer's.
        together: Readings a message, on average.
    """

    rate: float
    device: float
    server: float
    consumer: float
    together: float


async def one_round(pair: Pair, readings: int, order: dict[str, Any], *, warm_up: int = WARM_UP) -> Round:
    """Measures one.

    Args:
        pair: A device and a consumer that have done nothing yet.
        readings: How many are timed.
        order: What the device is to do.
        warm_up: How many go before.
    """
    await ask(pair.device, **{**order, "readings": warm_up})
    await pair.watch.committed(warm_up)
    before, packs_before = await _used(pair), await _packs(pair)
    pair.device.order({**order, "readings": readings})
    committed = await pair.watch.committed(warm_up + readings)
    begun = json.loads(await pair.device.answer())["begun"]
    after, packs_after = await _used(pair), await _packs(pair)
    device, server, consumer = (
        (late - early) / readings * 1e6 for early, late in zip(before, after, strict=True)
    )
    return Round(
        rate=readings / (committed - begun),
        device=device,
        server=server,
        consumer=consumer,
        together=readings / (packs_after - packs_before) if pair.ours else order.get("size", 1),
    )


async def _used(pair: Pair) -> list[float]:
    """Seconds of processor time so far, of the device's, the server's and the consumer's processes."""
    device, consumer = [(await ask(end, "cpu"))["cpu"] for end in (pair.device, pair.consumer)]
    return [device, busy_seconds(pair.server), consumer]


async def _packs(pair: Pair) -> float:
    return float((await ask(pair.consumer, "packs"))["packs"]) if pair.ours else 0.0
