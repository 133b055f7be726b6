"""A set of numbers as intervals, held against a real set."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.errors import InvalidError
from iotxmpp.intervals import Intervals, Run, TooManyIslandsError, runs_of

RUNS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 60)).map(lambda pair: (min(pair), max(pair))), max_size=25
)


def expand(runs: list[Run]) -> list[int]:
    return [number for first, last in runs for number in range(first, last + 1)]


def check_form(numbers: Intervals) -> None:
    before = numbers.contiguous
    for first, last in numbers.islands:
        assert before + 1 < first <= last
        before = last


@given(RUNS)
def test_it_holds_what_a_set_holds(runs: list[Run]) -> None:
    numbers, model = Intervals(), set[int]()
    for first, last in runs:
        added = set(range(first, last + 1))
        assert expand(numbers.add(first, last)) == sorted(added - model)
        model |= added
        check_form(numbers)
        assert [n for n in range(-1, 65) if n in numbers] == sorted(model)
        assert numbers.highest == max(model)
        assert expand(list(numbers.missing())) == sorted(set(range(1, max(model))) - model)
        assert numbers.contiguous == next(n for n in range(62) if n + 1 not in model)
        assert numbers.whole == (numbers.contiguous == max(model))
    assert Intervals(numbers.contiguous, numbers.islands) == numbers


@given(RUNS)
def test_a_bounded_one_takes_a_run_or_leaves_everything_as_it_was(runs: list[Run]) -> None:
    numbers = Intervals(most=3)
    for first, last in runs:
        before = numbers.copy()
        try:
            numbers.add(first, last)
        except TooManyIslandsError:
            assert numbers == before
            assert len(before.islands) == 3
            unbounded = Intervals(before.contiguous, before.islands)
            unbounded.add(first, last)
            assert len(unbounded.islands) == 4
        check_form(numbers)
        assert len(numbers.islands) <= 3


def test_a_copy_is_apart() -> None:
    numbers = Intervals(2, [(5, 6)])
    other = numbers.copy()
    other.add(3, 4)
    assert (numbers, other) == (Intervals(2, [(5, 6)]), Intervals(6))
    numbers.replace(other)
    assert numbers == Intervals(6)
    assert numbers != 6
    assert repr(Intervals(2, [(5, 6)])) == "Intervals(2, [(5, 6)])"


@pytest.mark.parametrize(("first", "last"), [(0, 3), (-1, 1), (4, 3)])
def test_what_is_no_run_is_refused(first: int, last: int) -> None:
    with pytest.raises(InvalidError, match="ascend"):
        Intervals().add(first, last)


@pytest.mark.parametrize("islands", [[(1, 2)], [(3, 4)], [(4, 3)], [(5, 6), (7, 8)], [(9, 9), (5, 5)]])
def test_islands_that_are_none_are_refused(islands: list[Run]) -> None:
    with pytest.raises(InvalidError, match="island"):
        Intervals(2, islands)


@given(st.sets(st.integers(1, 50)))
def test_numbers_as_runs(numbers: set[int]) -> None:
    runs = runs_of(sorted(numbers))
    assert expand(list(runs)) == sorted(numbers)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(runs))
