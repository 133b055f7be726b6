"""The numbers of a board's reports and events: what is missing, what came twice, what cannot be. No I/O."""

REPEATED = -1
"""The same report came again, at once or late."""

BACK = -2
"""The number or the time went back, as at a start of the board."""

REMEMBERED = 64
"""Reports whose number and time are remembered, to know them again."""

_HALF = 1 << 15
_WRAP = 1 << 32
_BACK_IN_TIME = 1000


class Sequence:
    """Follows the numbers, modulo 2^16, and the milliseconds, modulo 2^32, of one start of a board."""

    __slots__ = ("_late", "_millis", "_past", "_seq")

    def __init__(self) -> None:
        self._millis = 0
        self._past: list[tuple[int, int] | None] = []
        self.reset()

    def reset(self) -> None:
        """Takes whatever comes next as the first."""
        self._seq = self._late = -1
        self._past = [None] * REMEMBERED

    def follow(self, seq: int, millis: int) -> int:
        """How many are missing before this one; or `REPEATED`, or `BACK`, which both count nothing.

        Repeats that go on from one to the next are `BACK`, too: a board may start again in step with its last
        start, to the millisecond.
        """
        if self._seq >= 0:
            ahead = (seq - self._seq) & 0xFFFF
            back = (self._millis - millis) % _WRAP
            if ahead == 0 or ahead >= _HALF or _BACK_IN_TIME < back < _WRAP // 2:
                goes_on = self._late >= 0 and seq == (self._late + 1) & 0xFFFF
                if goes_on or not self._is_known(seq, millis):
                    return BACK
                self._late = seq if ahead else -1
                return REPEATED
        else:
            ahead = 1
        self._seq, self._millis, self._late = seq, millis, -1
        self._past[seq % REMEMBERED] = (seq, millis)
        return ahead - 1

    def follow_same_start(self, seq: int, millis: int) -> int:
        """As `follow`, once it is sure that the board did not start again: never `BACK`."""
        if self._is_known(seq, millis):
            return REPEATED
        missing = self.follow(seq, millis)
        if missing != BACK:
            return missing
        self.reset()
        return self.follow(seq, millis)

    def _is_known(self, seq: int, millis: int) -> bool:
        return self._past[seq % REMEMBERED] == (seq, millis)
