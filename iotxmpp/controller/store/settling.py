"""What of an arrival is new: by its numbers alone, without any I/O."""

from collections.abc import Iterable

from iotxmpp.controller.store.batch import Arrival, Taken
from iotxmpp.intervals import Intervals, Run, TooManyIslandsError


def settle(numbers: Intervals, arrival: Arrival) -> tuple[Taken, list[Run]]:
    """Adds an arrival's numbers to those of its epoch, all or none.

    Returns:
        What came of it, and the runs of numbers that are new.
    """
    before = numbers.copy()
    fresh: list[Run] = []
    try:
        for first, last in arrival.numbers:
            fresh += numbers.add(first, last)
    except TooManyIslandsError:
        numbers.replace(before)
        return Taken(postponed=True, upto=before.contiguous, missing=_missing(before)), []
    total, new = _count(arrival.numbers), _count(fresh)
    accepted, refused = arrival.readings, arrival.rejections
    if new < total:
        accepted = tuple(each for each in accepted if _within(each.seq, fresh))
        refused = tuple(each for each in refused if _within(each[0], fresh))
    return (
        Taken(
            readings=accepted,
            rejections=tuple(rejection for _, rejection in refused),
            duplicates=total - new if arrival.reason is None else 0,
            lost=0 if arrival.reason is None else new,
            upto=numbers.contiguous,
            missing=_missing(numbers),
        ),
        fresh,
    )


def _missing(numbers: Intervals) -> int:
    return 0 if numbers.whole else _count(numbers.missing())


def _count(runs: Iterable[Run]) -> int:
    return sum(last - first + 1 for first, last in runs)


def _within(number: int, runs: list[Run]) -> bool:
    return any(first <= number <= last for first, last in runs)
