"""How many items a subscriber has got, and when the last one that was asked for came."""

import asyncio
import time

from versus.obeying import Order


class ItemCount:
    """Counts, and tells when so many are there."""

    def __init__(self) -> None:
        self._total = 0
        self._changed = asyncio.Event()
        self._last = 0.0

    def came(self, count: int) -> None:
        """So many more came now."""
        if count:
            self._total += count
            self._last = time.monotonic()
            self._changed.set()

    async def arrived(self, order: Order) -> dict[str, float]:
        """Waits until so many came in all; the moment, and how many there are."""
        while self._total < order["items"]:
            self._changed.clear()
            await self._changed.wait()
        return {"arrived": self._last, "items": self._total}
