"""The numbers of a board's reports and events: what is missing, what came twice, what cannot be. No I/O."""

REPEATED = -1
"""The same report came again."""

BACK = -2
"""The number or the time went back, which only a start of the board does."""

_HALF = 1 << 15
_WRAP = 1 << 32
_BACK_IN_TIME = 1000


class Sequence:
    """Follows the numbers, modulo 2^16, and the milliseconds, modulo 2^32, of one start of a board."""

    __slots__ = ("_millis", "_seq")

    def __init__(self) -> None:
        self._seq = -1
        self._millis = 0

    def reset(self) -> None:
        """Takes whatever comes next as the first."""
        self._seq = -1

    def follow(self, seq: int, millis: int) -> int:
        """How many are missing before this one; or `REPEATED`, or `BACK`, which both change nothing."""
        if self._seq >= 0:
            ahead = (seq - self._seq) & 0xFFFF
            back = (self._millis - millis) % _WRAP
            if ahead == 0 and back == 0:
                return REPEATED
            if ahead == 0 or ahead >= _HALF or _BACK_IN_TIME < back < _WRAP // 2:
                return BACK
        else:
            ahead = 1
        self._seq, self._millis = seq, millis
        return ahead - 1
