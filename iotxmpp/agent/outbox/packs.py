"""Cuts readings into packs: what goes out as one item."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from iotxmpp.agent.clock import Moment
from iotxmpp.agent.outbox.rows import Epoch, Row, epoch_of, seq_of
from iotxmpp.readings import ClockQuality, Reading

MOST_READINGS = 500
"""Readings in one pack."""

MOST_BYTES = 60_000
"""Bytes of one pack on the wire: the smallest usual limit of a stanza is 64 KiB (ejabberd)."""

_LABELS = 110  # a record's labels, numbers and punctuation, each quote escaped as &quot;
_ESCAPED = "\"'&<>"


class Times(Protocol):
    """Tells epochs and times of rows."""

    def time_of(self, row: Row, moment: Moment) -> tuple[float, ClockQuality] | None:
        """When it was read; None where nobody can tell."""

    def epoch_by_id(self, number: int) -> Epoch:
        """The epoch of that id."""

    def given_out(self, place: int) -> None:
        """The reading of that place is given to the link, as were those before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """Readings of one epoch with ascending numbers, to be published as one item.

    Attributes:
        readings: At least one, all of one clock quality.
        first: The first one's place.
        last: The last one's place.
    """

    readings: tuple[Reading, ...]
    first: int
    last: int

    @property
    def epoch(self) -> str:
        """What names the run of their numbers."""
        return self.readings[0].epoch

    @property
    def first_seq(self) -> int:
        """The number of the first."""
        return self.readings[0].seq


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeless:
    """Readings whose time nobody can tell.

    Attributes:
        first: The first one's place.
        last: The last one's place.
    """

    first: int
    last: int


def cut(rows: Sequence[Row], times: Times, moment: Moment) -> Pack | Timeless:
    """The first pack of the rows, to be sent now, of at least one; the readings of a sample stay together."""
    epoch = times.epoch_by_id(epoch_of(rows[0].place))
    stamp = times.time_of(rows[0], moment)
    quality = stamp[1] if stamp is not None else None
    readings: list[Reading] = []
    size = 0
    same = 0  # rows at the start that make up the pack
    for row in rows[:MOST_READINGS]:
        stamp = times.time_of(row, moment)
        size += _size(row)
        if (
            epoch_of(row.place) != epoch.id
            or (stamp[1] if stamp is not None else None) != quality
            or (same and size > MOST_BYTES)
        ):
            break
        same += 1
        if stamp is not None:
            readings.append(_reading(row, epoch, stamp))
    same = _whole_samples(rows, same)
    if quality is None:
        return Timeless(first=rows[0].place, last=rows[same - 1].place)
    times.given_out(rows[same - 1].place)
    return Pack(readings=tuple(readings[:same]), first=rows[0].place, last=rows[same - 1].place)


def _whole_samples(rows: Sequence[Row], count: int) -> int:
    """So many of the first rows that no sample is cut; where one fills a whole pack, it is."""
    if count == len(rows) or rows[count].time != rows[count - 1].time:
        return count
    whole = count
    while whole and rows[whole - 1].time == rows[count].time:
        whole -= 1
    return whole or count


def _reading(row: Row, epoch: Epoch, stamp: tuple[float, ClockQuality]) -> Reading:
    return Reading(
        channel=row.channel,
        value=row.value,
        unit=row.unit,
        time=stamp[0],
        clock=stamp[1],
        epoch=epoch.name,
        seq=seq_of(row.place),
    )


def _size(row: Row) -> int:
    """About how many bytes the reading takes on the wire, rather too many."""
    size = _LABELS + len(row.channel) + len(row.unit or "")
    if not isinstance(row.value, str):
        return size + 24
    text = json.dumps(row.value)
    return size + len(text) + 5 * sum(text.count(character) for character in _ESCAPED)
