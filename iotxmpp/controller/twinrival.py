"""Two controllers that desire settings of one device, each from a store of its own: they must not fight."""

import logging
import time
from collections.abc import Callable

FIRST_DELAY = 60.0
"""Seconds at least between two replacements of another lineage; doubled with each further one."""

LONGEST_DELAY = 3600.0
"""Seconds that this grows to. After twice as long without a replacement it starts from the first again."""

_LOGGER = logging.getLogger(__name__)


class Rivalry:
    """When a lineage may replace another one on a device.

    The first time it may at once: the device, or a store, was replaced. Where the other one comes back,
    another controller is at work.

    Args:
        device: The device's id.
        clock: Gives seconds that nobody sets.
    """

    def __init__(self, device: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._device = device
        self._clock = clock
        self._against = False
        self._replaced: float | None = None
        self._delay = 0.0

    def saw(self, before: str, now: str, *, ours: str) -> None:
        """A report came.

        Args:
            before: The lineage of the report before it.
            now: Its lineage; empty for none.
            ours: The lineage of what this controller desires; empty for none.
        """
        self._against = bool(now and ours) and now != ours and (before == ours or self._is_recent())
        if self._against and before == ours and self._is_recent():
            self._warn()

    def allow(self) -> None:
        """A replacement that is wanted, not provoked by the other lineage, may go out at once."""
        self._against = False

    def wait(self) -> float:
        """Seconds until the settings may be sent; 0 for now."""
        if not self._against or self._replaced is None:
            return 0.0
        return max(0.0, self._replaced + self._delay - self._clock())

    def replaced(self) -> None:
        """The device took our lineage in the place of another one."""
        self._delay = min(2 * self._delay, LONGEST_DELAY) if self._is_recent() else FIRST_DELAY
        self._replaced = self._clock()
        self._against = False

    def _is_recent(self) -> bool:
        return self._replaced is not None and self._clock() - self._replaced < 2 * LONGEST_DELAY

    def _warn(self) -> None:
        _LOGGER.warning(
            "device %s: two controllers desire its settings, and each replaces what the other one desired;"
            " run one controller with this account, or let all use one store; the next try is in %.0f s",
            self._device,
            self.wait(),
        )
