"""A set of numbers from 1 on, kept as intervals: everything up to a number, and islands beyond it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from iotxmpp.errors import InvalidError

MOST_ISLANDS = 1000
"""Islands that a set has at most, unless told otherwise."""

Run = tuple[int, int]
"""The first and the last of consecutive numbers."""


def runs_of(numbers: Sequence[int]) -> tuple[Run, ...]:
    """Ascending numbers as runs."""
    if not numbers:
        return ()
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return ((numbers[0], numbers[-1]),)
    runs = [[numbers[0], numbers[0]]]
    for number in numbers[1:]:
        if number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return tuple((first, last) for first, last in runs)


class TooManyIslandsError(InvalidError):
    """The numbers would make more islands than the set may have; nothing was added."""


class Intervals:
    """Numbers that came, in any order and any number of times.

    Args:
        contiguous: All numbers from 1 to here are in the set.
        islands: Further runs, ascending, apart from `contiguous` and from each other by at least one number.
        most: How many islands it may have.

    Attributes:
        contiguous: All numbers from 1 to here are in the set, the next one is not; 0 for none.

    Raises:
        InvalidError: The islands are not as described.
    """

    __slots__ = ("_firsts", "_lasts", "_most", "contiguous")

    def __init__(self, contiguous: int = 0, islands: Iterable[Run] = (), *, most: int = MOST_ISLANDS) -> None:
        self.contiguous = contiguous
        self._most = most
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        before = contiguous
        for first, last in islands:
            if first < before + 2 or last < first:
                raise InvalidError(f"island {first} to {last}: must be ascending, apart from {before}")
            self._firsts.append(first)
            self._lasts.append(last)
            before = last

    def __contains__(self, number: int) -> bool:
        if number <= self.contiguous:
            return number >= 1
        index = bisect_left(self._lasts, number)
        return index < len(self._firsts) and self._firsts[index] <= number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Intervals):
            return NotImplemented
        return self.contiguous == other.contiguous and self.islands == other.islands

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Intervals({self.contiguous}, {self.islands})"

    @property
    def islands(self) -> list[Run]:
        """The runs beyond `contiguous`, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    @property
    def highest(self) -> int:
        """The highest number; 0 for none."""
        return self._lasts[-1] if self._lasts else self.contiguous

    @property
    def whole(self) -> bool:
        """Whether no number below the highest is missing."""
        return not self._firsts

    def copy(self) -> Self:
        """Another set of the same numbers."""
        return type(self)(self.contiguous, self.islands, most=self._most)

    def replace(self, other: Self) -> None:
        """Becomes equal to another set, which is not to be used any more."""
        self.contiguous, self._firsts, self._lasts = other.contiguous, other._firsts, other._lasts

    def missing(self) -> Iterator[Run]:
        """The runs of numbers below the highest that are not in the set, ascending."""
        before = self.contiguous
        for first, last in zip(self._firsts, self._lasts, strict=True):
            yield before + 1, first - 1
            before = last

    def add(self, first: int, last: int) -> list[Run]:
        """Adds the numbers from first to last.

        Returns:
            Those of them that were not in the set, as runs, ascending.

        Raises:
            InvalidError: The numbers do not ascend from at least 1.
            TooManyIslandsError: They would make too many islands.
        """
        if not 1 <= first <= last:
            raise InvalidError(f"numbers {first} to {last}: must ascend from 1 on")
        if first == self.contiguous + 1 and not self._firsts:
            self.contiguous = last
            return [(first, last)]
        # The islands that overlap or touch what is added, and what is added together with them.
        low = bisect_left(self._lasts, first - 1)
        high = bisect_left(self._firsts, last + 2, lo=low)
        touches_start = first <= self.contiguous + 1
        if not touches_start and low == high and len(self._firsts) >= self._most:
            raise TooManyIslandsError(f"numbers {first} to {last}: more than {self._most} islands")
        fresh = self._fresh(max(first, self.contiguous + 1), last, low, high)
        end = max(last, self._lasts[high - 1]) if low < high else last
        if touches_start:
            self.contiguous = max(self.contiguous, end)
            self._firsts[low:high] = []
            self._lasts[low:high] = []
        else:
            self._firsts[low:high] = [min(first, self._firsts[low]) if low < high else first]
            self._lasts[low:high] = [end]
        return fresh

    def _fresh(self, first: int, last: int, low: int, high: int) -> list[Run]:
        """What of the run is in none of these islands."""
        runs = []
        for index in range(low, high):
            if first < self._firsts[index]:
                runs.append((first, min(last, self._firsts[index] - 1)))
            first = max(first, self._lasts[index] + 1)
        if first <= last:
            runs.append((first, last))
        return runs
