"""Cuts readings into packs: what goes out as one item."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from iotxmpp.agent.clock import Moment
from iotxmpp.agent.outbox.rows import Epoch, Row, epoch_of, place_of, seq_of
from iotxmpp.agent.packbound import MOST_BYTES
from iotxmpp.readings import ClockQuality
from iotxmpp.senml_encode import Plain

MOST_READINGS = 500
"""Readings in one pack."""

# Bytes on the wire, rather too many, for text may not compress at all:
_NUMBER = 84  # a record's labels, numbers and punctuation; longer where few of them are not compressed
_TEXT = 60  # likewise without the value


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
        readings: At least one: channel, unit, value, time and number.
        epoch: What names the run of their numbers.
        clock: How far their times can be trusted.
        first: The first one's place.
        last: The last one's place.
    """

    readings: Sequence[Plain]
    epoch: str
    clock: ClockQuality
    first: int
    last: int

    @property
    def first_seq(self) -> int:
        """The number of the first."""
        return seq_of(self.first)

    @property
    def last_seq(self) -> int:
        """The number of the last."""
        return seq_of(self.last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeless:
    """Readings whose time nobody can tell.

    Attributes:
        first: The first one's place.
        last: The last one's place.
    """

    first: int
    last: int


def cut(rows: Sequence[Row], times: Times, moment: Moment, most_bytes: int = MOST_BYTES) -> Pack | Timeless:
    """The first pack of the rows, to be sent now, of at least one; the readings of a sample stay together."""
    epoch = times.epoch_by_id(epoch_of(rows[0].place))
    start, end = place_of(epoch.id, 0), place_of(epoch.id + 1, 0)
    stamp = times.time_of(rows[0], moment)
    quality = stamp[1] if stamp is not None else None
    sure = rows[0].clock if rows[0].clock == quality else None  # then a row of that clock has its own time
    readings: list[Plain] = []
    size = 0
    for row in rows[:MOST_READINGS]:
        place, channel, unit, time, clock, value = row
        if clock != sure or clock == "r":
            stamp = times.time_of(row, moment)
            time = stamp[0] if stamp is not None else 0.0
            if (stamp[1] if stamp is not None else None) != quality:
                break
        size += len(channel) + len(unit or "")
        size += _NUMBER if type(value) is not str else _TEXT + len(json.dumps(value)) * 4 // 3
        if place >= end or (size > most_bytes and readings):
            break
        readings.append((channel, unit, value, time, place - start))
    same = _whole_samples(rows, len(readings))  # rows at the start that make up the pack
    if quality is None:
        return Timeless(first=rows[0].place, last=rows[same - 1].place)
    last = rows[same - 1].place
    times.given_out(last)
    return Pack(readings=readings[:same], epoch=epoch.name, clock=quality, first=rows[0].place, last=last)


def _whole_samples(rows: Sequence[Row], count: int) -> int:
    """So many of the first rows that no sample is cut; where one fills a whole pack, it is."""
    if count == len(rows) or rows[count].time != rows[count - 1].time:
        return count
    whole = count
    while whole and rows[whole - 1].time == rows[count].time:
        whole -= 1
    return whole or count
