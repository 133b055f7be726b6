"""Readings of a damaged file, taken over many at a time in whatever order they could be read."""

from collections.abc import Iterable, Sequence
from itertools import chain

from iotxmpp.agent.outbox.rows import FIRST, LAST, DeadLetter, Epoch, Loss, Row, place_of
from iotxmpp.agent.outbox.store import MemoryOutbox


class Found:
    """What was read forwards up to a broken page, and then backwards from the end."""

    def losses(self) -> Iterable[Loss]:
        return []

    def readings(self) -> Iterable[Sequence[Row]]:
        forwards = [Row(place_of(1, n), "level", "m", 1e9 + n, "s", n / 7) for n in range(1, 61)]
        backwards = [Row(place_of(2, n), "level", "m", 1e9 + n, "s", n / 7) for n in range(60, 0, -1)]
        # Ids may be others in the new file: the ends of what is read at once do not tell its runs.
        return [[*forwards[30:], *backwards, *forwards[:30]]]

    def letters(self) -> Iterable[DeadLetter]:
        return []


def test_readings_in_any_order_get_the_checksums_of_their_own_runs() -> None:
    outbox = MemoryOutbox()
    runs = [Epoch(id=number, name=f"e{number}", boot="b1") for number in (1, 2)]
    assert outbox.repair(runs, Found()) == []
    kept = outbox.page(FIRST, LAST, 1000)
    assert kept == sorted(chain(*Found().readings()), key=lambda row: row.place)
    outbox.close()
