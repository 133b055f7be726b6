"""What an outbox says of its disk: that it fails, when to try it again, and what was lost with a file."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from iotxmpp.agent.outbox.damage import Damage
from iotxmpp.agent.outbox.rows import Epoch, seq_of
from iotxmpp.backoff import Backoff
from iotxmpp.errors import StoreError

_LOGGER = logging.getLogger(__name__)
_DISK = "outbox"
_DAMAGE = "outbox damaged"


class Reporter(Protocol):
    """Where it says what does not work."""

    def report(self, key: str, text: str) -> None:
        """Something does not work."""

    def clear(self, key: str) -> None:
        """It works again."""


class Trouble:
    """Reports the troubles of one outbox, and takes them back when they are over.

    Attributes:
        mend_at: When the disk is worth another attempt, by the monotonic clock.
    """

    def __init__(self, path: Path | None, problems: Reporter, backoff: Backoff) -> None:
        """Makes one that has none.

        Args:
            path: The outbox.
            problems: Where to say what does not work.
            backoff: The delays between attempts to use the disk again.
        """
        self.mend_at = 0.0
        self._path = path
        self._problems = problems
        self._backoff = backoff
        self._damage: Damage | None = None

    def put_off(self, error: Exception) -> None:
        """The disk does not work."""
        self.mend_at = time.monotonic() + self._backoff.next_delay()
        text = str(error) if isinstance(error, StoreError) else f"outbox {self._path}: {error}"
        self._problems.report(_DISK, f"readings are kept in memory: {text}")

    def works(self) -> None:
        """The disk works again."""
        self._backoff.reset()
        self._problems.clear(_DISK)

    def damaged(self, damage: Damage) -> None:
        """A file was damaged or gone, and a new one is there."""
        self._damage = damage
        lost = ", ".join(
            f"{each.name} {seq_of(each.first)} to {seq_of(each.last)}" for each in damage.lost if each.is_held
        )
        _LOGGER.warning("outbox %s is begun anew; told as lost: %s", damage.path, lost or "nothing")
        self._problems.report(_DAMAGE, damage.text)

    def acknowledged(self, epochs: Mapping[int, Epoch]) -> None:
        """Takes a damage back whose loss the collector knows, by what is held after an ack."""
        if self._damage is not None and self._damage.is_settled(epochs):
            self._damage = None
            self._problems.clear(_DAMAGE)
