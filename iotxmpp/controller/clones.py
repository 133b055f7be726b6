"""Finds two devices that use one account: a copied SD card that runs twice."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from iotxmpp.controller.columns import epoch_of, span_of
from iotxmpp.readings import Reading

WINDOW = 60.0
"""Seconds within which the two must be seen in turn."""

TURNS = 3
"""How often the turn must have gone to the other one."""

_MOST = 64


@dataclass(slots=True)
class _Turn:
    """Live readings of one epoch, with none of another between them."""

    epoch: str
    since: float
    first: float
    last: float


class Clones:
    """Looks at the epochs of one device.

    A device that was started again ends one epoch and begins another; what the first one left comes late,
    and was all made before. Two epochs that go on side by side are two devices: each makes readings after
    the other has begun to.
    """

    def __init__(self) -> None:
        self._turns: deque[_Turn] = deque(maxlen=_MOST)
        self._told: deque[frozenset[str]] = deque(maxlen=_MOST)

    def see(self, readings: Sequence[Reading], now: float) -> tuple[str, str] | None:
        """Takes new live readings of one epoch.

        Args:
            readings: The readings.
            now: The time of a clock that nobody sets, in seconds.

        Returns:
            The two epochs, where they are seen to be clones for the first time.
        """
        if not readings:
            return None
        epoch = epoch_of(readings)
        first, last = span_of(readings)
        if self._turns and self._turns[-1].epoch == epoch:
            self._turns[-1].last = max(self._turns[-1].last, last)
            return None
        other = self._turns[-1].epoch if self._turns else epoch
        self._turns.append(_Turn(epoch, now, first, last))
        while now - self._turns[0].since > WINDOW:
            self._turns.popleft()
        pair = frozenset({epoch, other})
        if len(pair) == 1 or pair in self._told or not self._side_by_side(pair):
            return None
        self._told.append(pair)
        return other, epoch

    def _side_by_side(self, pair: frozenset[str]) -> bool:
        turns = [turn for turn in self._turns if turn.epoch in pair]
        changes = sum(a.epoch != b.epoch for a, b in pairwise(turns))
        if changes < TURNS:
            return False
        one, other = ([turn for turn in turns if turn.epoch == epoch] for epoch in pair)
        return _begin(one) < _end(other) and _begin(other) < _end(one)


def _begin(turns: list[_Turn]) -> float:
    return min(turn.first for turn in turns)


def _end(turns: list[_Turn]) -> float:
    return max(turn.last for turn in turns)
