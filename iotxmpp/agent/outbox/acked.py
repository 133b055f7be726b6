"""Up to where the collector has acknowledged readings that are still kept."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter

from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import Epoch, Row, by_epoch, epoch_of, place_of


class Acked:
    """The last acknowledged place of each epoch: readings up to it need not be published, and can go."""

    def __init__(self) -> None:
        self._upto: dict[int, int] = {}

    def count(self, epochs: Mapping[int, Epoch]) -> int:
        """How many of the readings that these epochs hold are acknowledged."""
        return sum(
            min(last, epoch.last) - epoch.first + 1
            for number, last in self._upto.items()
            if (epoch := epochs.get(number)) is not None and 0 < epoch.first <= min(last, epoch.last)
        )

    def advance(self, epoch: Epoch, seq: int, taken: int = 0) -> bool:
        """An ack of that epoch came, up to a number; whether it lets anything go.

        Args:
            epoch: The epoch, with what is held of it.
            seq: The number.
            taken: The place of the last reading of it that was taken, kept or not.
        """
        last = place_of(epoch.id, seq) if seq else 0
        known = max(epoch.last, taken)
        if last < max(epoch.first, self._upto.get(epoch.id, 0) + 1) or not known:
            return False
        self._upto[epoch.id] = min(last, known)
        return True

    def upto(self, number: int) -> int:
        """The last acknowledged place of the epoch with that id; 0 for none."""
        return self._upto.get(number, 0)

    def go_back(self, place: int) -> None:
        """The collector lacks what follows that place, whatever it acknowledged before."""
        if self._upto.get(epoch_of(place), 0) > place:
            self._upto[epoch_of(place)] = place

    def past(self, place: int) -> int:
        """The first place from that one on, in its epoch, which is not acknowledged."""
        return max(place, self._upto.get(epoch_of(place), 0) + 1)

    def without(self, rows: Sequence[Row]) -> list[Row]:
        """Those of the readings, which ascend, that are not acknowledged."""
        return [row for number, some in by_epoch(rows) for row in _after(self.upto(number), some)]

    def spans(self, epochs: Mapping[int, Epoch]) -> Sequence[Span]:
        """The places that are done with in the epochs that still hold some of them."""
        return [
            (place_of(number, 0), last)
            for number, last in self._upto.items()
            if (epoch := epochs.get(number)) is not None and epoch.first <= last
        ]


def _after(place: int, rows: Sequence[Row]) -> Sequence[Row]:
    """Those after a place, of rows that ascend: mostly all of them."""
    return rows[bisect_right(rows, place, key=attrgetter("place")) :]
