"""What devices publish before they are joined: held in order, for a while, within bounds."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from iotxmpp.addresses import DeviceId, device_of_node
from iotxmpp.link import Item

log = logging.getLogger(__name__)

MOST = 2000
"""Items that are held at most."""

MOST_OF_NODE = 200
"""Items of one node that are held at most."""

KEEP = 60.0
"""Seconds that items of a device are held whose nodes the service does not show us."""

FIRST_GAP = 1.0
"""Seconds from the first time that a device's items ask for a discovery to the second; then twice as many."""


@dataclass(kw_only=True, slots=True)
class _Held:
    """What is held of one device."""

    since: float
    ask_at: float
    gap: float
    items: deque[Item] = field(default_factory=deque)
    of_node: Counter[str] = field(default_factory=Counter)


class Early:
    """Holds the items of devices that are not joined.

    Args:
        on_lost: Told how many items could not be held.
    """

    def __init__(self, on_lost: Callable[[int], None]) -> None:
        self._on_lost = on_lost
        self._held: dict[DeviceId, _Held] = {}
        self._count = 0
        self._warned = False

    def hold(self, name: DeviceId, item: Item) -> bool:
        """Holds an item of a device; False where there is no room."""
        held = self._held.get(name)
        if self._count >= MOST or (held is not None and held.of_node[item.node.node] >= MOST_OF_NODE):
            return False
        if held is None:
            now = asyncio.get_running_loop().time()
            held = self._held[name] = _Held(since=now, ask_at=now, gap=FIRST_GAP)
        held.items.append(item)
        held.of_node[item.node.node] += 1
        self._count += 1
        return True

    def asks(self, name: DeviceId) -> bool:
        """Whether a device's items ask for a discovery now: at once, then ever more rarely."""
        held, now = self._held.get(name), asyncio.get_running_loop().time()
        if held is None or now < held.ask_at:
            return False
        held.ask_at, held.gap = now + held.gap, held.gap * 2
        return True

    def holds(self, name: DeviceId) -> bool:
        """Whether anything of a device is held."""
        return name in self._held

    def has_about(self, name: DeviceId) -> bool:
        """Whether a description of a device is held."""
        held = self._held.get(name)
        return held is not None and any(_is_about(node) for node, count in held.of_node.items() if count)

    def take(self, name: DeviceId) -> Iterator[Item]:
        """Gives out what is held of a device, the oldest first, and what is added meanwhile."""
        while (held := self._held.get(name)) is not None:
            item = held.items.popleft()
            held.of_node[item.node.node] -= 1
            self._count -= 1
            if not held.items:
                del self._held[name]
            yield item

    def lose(self, name: DeviceId, count: int, why: str) -> None:
        """Counts items of a device that are not held, and says so once."""
        self._on_lost(count)
        if not self._warned:
            self._warned = True
            log.warning(
                "items of device %s, which is not joined, are lost (%d): %s; from here on a metric counts",
                *(name, count, why),
            )

    def forget_strangers(self, wanted: Collection[DeviceId]) -> None:
        """Lets go of what has long been held of others than these devices."""
        long_ago = asyncio.get_running_loop().time() - KEEP
        for name, held in tuple(self._held.items()):
            if held.since <= long_ago and name not in wanted:
                self._drop(name, "the service does not show us all of its nodes")

    def close(self) -> None:
        """Lets go of everything."""
        for name in tuple(self._held):
            self._drop(name, "the controller ends")

    def _drop(self, name: DeviceId, why: str) -> None:
        self.lose(name, sum(1 for _ in self.take(name)), why)


def _is_about(node: str) -> bool:
    found = device_of_node(node)
    return found is not None and found[1] == "about"
