"""What is known of an outbox without asking its file: the places of its epochs, and its stock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import Epoch, Row, Stock, epoch_of


def epochs_after(
    epochs: Mapping[int, Epoch], current: int, rows: Sequence[Row], trims: Iterable[Span]
) -> dict[int, Epoch]:
    """The epochs with the places that are held after a write.

    Args:
        epochs: The epochs before it, by id.
        current: The id of the epoch of the rows.
        rows: The readings that were written.
        trims: The places that are done with.
    """
    after = dict(epochs)
    if rows:
        epoch = after[current]
        after[current] = replace(epoch, first=epoch.first or rows[0].place, last=rows[-1].place)
    for first, last in trims:
        known = after.get(epoch_of(first))
        if known is not None and known.first <= last:
            after[known.id] = replace(known, first=last + 1, last=max(last, known.last))
    return after


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
