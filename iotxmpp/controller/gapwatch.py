"""When a device is to be asked again for numbers that are missing."""

from dataclasses import dataclass

SILENT = 10.0
"""Seconds that a hole may stand while nothing comes from the device."""

STUCK = 30.0
"""Seconds that a hole may stand, unchanged, while other readings come."""

LONGEST = 600.0
"""Seconds between two questions that bring nothing, at most; from `SILENT` on they double."""


@dataclass(slots=True)
class _Hole:
    missing: int
    upto: int


class GapWatch:
    """The holes in one device's numbers. Times are those of a clock that nobody sets, in seconds."""

    def __init__(self) -> None:
        self._holes: dict[str, _Hole] = {}
        self._heard = 0.0
        self._changed = 0.0
        self._patience = SILENT
        self._asked: float | None = None

    @property
    def open(self) -> bool:
        """Whether any number is missing."""
        return bool(self._holes)

    def heard(self, now: float) -> None:
        """Something came from the device."""
        self._heard = now

    def settled(self, epoch: str, upto: int, missing: int, now: float, *, postponed: bool = False) -> None:
        """An epoch stands like this after a commit.

        Args:
            epoch: The epoch.
            upto: All numbers up to here are settled.
            missing: How many are missing after that.
            now: The time.
            postponed: Something could not be taken because too much is missing.
        """
        hole = self._holes.get(epoch)
        if not missing and not postponed:
            if self._holes.pop(epoch, None) is not None:
                self._progress(now)
            return
        if hole is None or upto > hole.upto or missing < hole.missing:
            self._progress(now)
        self._holes[epoch] = _Hole(missing, upto)

    def due(self, now: float) -> bool:
        """Whether to ask now; if so, the next time is later."""
        if not self._holes:
            return False
        quiet = now - max(self._heard, self._changed) >= SILENT
        stuck = now - self._changed >= STUCK
        if not (quiet or stuck) or (self._asked is not None and now - self._asked < self._patience):
            return False
        if self._asked is not None:
            self._patience = min(LONGEST, self._patience * 2)
        self._asked = now
        return True

    def _progress(self, now: float) -> None:
        self._changed = now
        self._asked = None
        self._patience = SILENT
