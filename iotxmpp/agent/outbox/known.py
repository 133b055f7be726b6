"""What is known of an outbox without asking its file: the places of its epochs, and its stock."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import Epoch, Row, Stock, epoch_of, seq_of


class Epochs:
    """The epochs of which something is held, and the current one.

    Attributes:
        by_id: All of them.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, Epoch] = {}
        self._current = 0

    @property
    def current(self) -> Epoch:
        """The epoch of this run, once it has begun."""
        return self.by_id[self._current]

    def begin(self, epoch: Epoch) -> None:
        """From now on, this epoch is the current one."""
        self._current = epoch.id
        self._put(epoch)

    def found(self, epochs: Iterable[Epoch]) -> None:
        """A file holds something of these; what is known already stays as it is."""
        self.by_id = {each.id: each for each in epochs} | self.by_id

    def written(self, rows: Sequence[Row], trims: Iterable[Span]) -> None:
        """Readings of the current epoch were kept, and these places are done with."""
        if rows:
            current = self.current
            self._put(replace(current, first=current.first or rows[0].place, last=rows[-1].place))
        for first, last in trims:
            known = self.by_id.get(epoch_of(first))
            if known is not None and known.first <= last:
                self._put(replace(known, first=last + 1, last=max(last, known.last)))

    def lost_from(self, first: int) -> None:
        """What is held of an epoch begins with this place, for those that were lost."""
        self._put(replace(self.by_id[epoch_of(first)], first=first))

    def given_out(self, place: int) -> bool:
        """The reading of that place is given to the link; whether it is of the current epoch."""
        epoch = self.by_id[epoch_of(place)]
        self._put(replace(epoch, attempted=max(seq_of(place), epoch.attempted)))
        return epoch.id == self._current

    def set_offset(self, boot: str, offset: float) -> None:
        """The clock was set in that run of the system."""
        self.by_id = {
            each.id: replace(each, offset=offset) if each.boot == boot else each
            for each in self.by_id.values()
        }

    def attempted(self) -> dict[str, int]:
        """Up to which numbers they were given to the link, by their names."""
        return {each.name: each.attempted for each in self.by_id.values() if each.attempted}

    def without(self, others: Iterable[Epoch]) -> list[Epoch]:
        """What is held of them but for what others hold, which are the last places of each."""
        held = {each.id: each.first for each in others if each.last}
        return [_except_from(each, held.get(each.id)) for each in self.by_id.values()]

    def _put(self, epoch: Epoch) -> None:
        self.by_id[epoch.id] = epoch


def stock_of(disk: Stock, memory: Stock, *, done: int, dropped: int, writable: bool) -> Stock:
    """What a file and the memory hold together.

    Args:
        disk: What the file holds.
        memory: What is in memory.
        done: Readings in the file that are done with, but not removed.
        dropped: Readings that files before this one dropped.
        writable: New readings go to the file; then its bounds count.
    """
    active = disk if writable else memory
    return Stock(
        held=max(0, disk.held - done) + memory.held,
        bytes=active.bytes,
        dead=disk.dead + memory.dead,
        dropped=disk.dropped + memory.dropped + dropped,
        oldest=disk.oldest or memory.oldest,
        losses=active.losses,
        stuck=active.stuck,
    )


def _except_from(epoch: Epoch, place: int | None) -> Epoch:
    """The epoch without what begins at that place: it is held elsewhere."""
    return epoch if place is None else replace(epoch, last=min(epoch.last, place - 1))
