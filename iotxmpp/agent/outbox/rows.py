"""How a reading is kept: its place, and what else is needed to publish it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from iotxmpp.delivery import GapReason
from iotxmpp.readings import ClockQuality, Value

Placed = TypeVar("Placed", bound=tuple[Any, ...])

_SEQ_BITS = 40

FIRST = 0
"""Before every place."""

LAST = 2**63 - 1
"""After every place."""

SPARE_EPOCHS = 1 << 20
"""Epochs that began while the disk could not be read have ids from here to twice this."""

IDS = 3 << 21
"""Ids of epochs are below: there is room for millions after those that a note names; places have 63 bits."""

NOTED_IDS = 1 << 22
"""Ids that the note beside an outbox may name are below: the epochs that follow need ids, too."""


def place_of(epoch: int, seq: int) -> int:
    """Where the reading of that number stands in the outbox: ascending by epoch, then by number."""
    return epoch << _SEQ_BITS | seq


def epoch_of(place: int) -> int:
    """The id of a place's epoch in this outbox."""
    return place >> _SEQ_BITS


def seq_of(place: int) -> int:
    """The number of a place's reading."""
    return place & ((1 << _SEQ_BITS) - 1)


def by_epoch(rows: Sequence[Placed]) -> Iterable[tuple[int, Sequence[Placed]]]:
    """What begins with a place, and ascends by that, by the ids of epochs: mostly it is all of one."""
    if rows and epoch_of(rows[0][0]) == epoch_of(rows[-1][0]):
        return [(epoch_of(rows[0][0]), rows)]
    return [(number, list(some)) for number, some in groupby(rows, key=lambda row: epoch_of(row[0]))]


class Row(NamedTuple):
    """One kept reading.

    Attributes:
        place: Where it stands.
        channel: Its channel.
        unit: Its unit.
        time: When it was read, in seconds since 1970; with clock quality `r` since the system's start.
        clock: How far the time can be trusted.
        value: Its value.
    """

    place: int
    channel: str
    unit: str | None
    time: float
    clock: ClockQuality
    value: Value


row_of: Callable[[tuple[int, str, str | None, float, ClockQuality, Value]], Row] = partial(tuple.__new__, Row)
"""Makes a row of its parts, in half the time that `Row` itself takes: every reading is one."""


class Loss(NamedTuple):
    """Places whose readings will never be published.

    Attributes:
        id: Grows with each loss.
        first: The first place.
        last: The last, of the same epoch.
        reason: Why.
    """

    id: int
    first: int
    last: int
    reason: GapReason


class DeadLetter(NamedTuple):
    """A reading that was given up because it could not be delivered.

    Attributes:
        row: The reading.
        epoch: The name of its epoch.
        reason: Why.
        retry: Somebody asked for another attempt.
    """

    row: Row
    epoch: str
    reason: str
    retry: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """One run of the agent.

    Attributes:
        id: Its id in this outbox.
        name: Its name on the wire.
        boot: The run of the system that it belongs to.
        offset: What to add to that run's uptime for seconds since 1970; None while its clock was never set.
        first: The place of the first reading or loss that is kept; 0 for none.
        last: The place of the last one.
        trimmed: The last place that is done with; 0 for none.
        attempted: The last number that was given to the link; 0 for none.
    """

    id: int
    name: str
    boot: str
    offset: float | None = None
    first: int = 0
    last: int = 0
    trimmed: int = 0
    attempted: int = 0

    @property
    def is_held(self) -> bool:
        """Whether anything of it is kept."""
        return 0 < self.first <= self.last


@dataclass(frozen=True, kw_only=True, slots=True)
class Stock:
    """What an outbox holds.

    Attributes:
        held: Readings.
        bytes: About how much they take.
        dead: Dead letters.
        dropped: Readings that found no room, or became too old, since it was opened.
        oldest: The first reading.
        losses: The id of the newest loss that is not acknowledged; 0 for none.
        stuck: It is full of readings that are not to be dropped.
    """

    held: int = 0
    bytes: int = 0
    dead: int = 0
    dropped: int = 0
    oldest: Row | None = None
    losses: int = 0
    stuck: bool = False


ROW_BYTES = 36
"""About what a number takes on disk."""


def size_of(value: Value) -> int:
    """About what a reading takes on disk, in bytes."""
    return ROW_BYTES + (len(value.encode()) if isinstance(value, str) else 0)


def size_of_all(values: Sequence[Value]) -> int:
    """About what so many readings take on disk, in bytes."""
    size = ROW_BYTES * len(values)
    if str in set(map(type, values)):  # mostly they are numbers
        size += sum(len(each.encode()) for each in values if isinstance(each, str))
    return size
