"""Checks of what is read from an outbox's file: a byte that changed there must not go for a reading."""

import functools
import re
import sqlite3
import zlib
from typing import Any, get_args

from iotxmpp.agent.outbox.rows import IDS, DeadLetter, Epoch, Loss, Row, epoch_of, seq_of
from iotxmpp.delivery import GapReason
from iotxmpp.readings import ClockQuality, Value

NAME = r"\A[A-Za-z0-9-]{1,32}\Z"
"""What the name of an epoch looks like."""

_NAME = re.compile(NAME)
_QUALITIES: tuple[ClockQuality, ...] = ("s", "u", "r")
_REASONS = frozenset(get_args(GapReason))
_KINDS = range(2 * len(_QUALITIES))
_KIND_OF = {quality: 2 * index for index, quality in enumerate(_QUALITIES)}

Names = dict[int, tuple[str, str | None]]
"""Name and unit of channels, by their ids in one file."""


class DamagedRowError(sqlite3.DatabaseError):
    """A row was changed by something other than iotxmpp; SQLite itself did not notice."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def kind_of(row: Row) -> int:
    """Clock quality, and whether it is a truth value, as one number."""
    return _KIND_OF[row.clock] + (type(row.value) is bool)


def crc_of(row: Row, epoch: str) -> int:
    """What tells whether a reading is as it was: a CRC-32 over all that the collector gets of it.

    That is of Python's text of the tuple of those, put together here from parts, for every reading has one.
    """
    place, channel, unit, time, clock, value = row
    kind, text = _KIND_OF[clock], value
    if type(value) is bool:
        kind, text = kind + 1, int(value)
    before, after = _around_number(epoch, channel, unit)
    columns = f"{before}{seq_of(place)}{after}{time + 0.0!r}, {kind}, {text!r})"
    return zlib.crc32(columns.encode("ascii", "backslashreplace"))


@functools.lru_cache(maxsize=256)  # the same few all the time
def _around_number(epoch: str, channel: str, unit: str | None) -> tuple[str, str]:
    """What stands before and after a reading's number."""
    return f"({epoch!r}, ", f", {channel!r}, {unit or ''!r}, "


def checked_row(columns: tuple[Any, ...], epoch: str | None, names: Names) -> Row:
    """A reading from its columns: place, channel, time, kind, value and crc.

    Args:
        columns: What the file says.
        epoch: The name of its epoch; None where the file knows none.
        names: The channels that the file knows.

    Raises:
        DamagedRowError: It is not what was written; a crc of None is not looked at.
    """
    place, channel, time, kind, value, crc = columns
    if epoch is None or seq_of(place) == 0:
        raise DamagedRowError(f"a reading of an unknown run ({epoch_of(place)}.{seq_of(place)})")
    name = f"reading {epoch}.{seq_of(place)}"
    if channel not in names:
        raise DamagedRowError(f"{name}: its channel is unknown")
    sound = isinstance(time, float | int) and isinstance(value, float | int | str)
    if not sound or not isinstance(kind, int) or kind not in _KINDS:
        raise DamagedRowError(f"{name}: its columns cannot be")
    row = Row(place, *names[channel], time, _QUALITIES[kind >> 1], _value(kind, value))
    if crc is not None and crc != crc_of(row, epoch):
        raise DamagedRowError(f"{name}: its checksum is wrong")
    return row


def checked_epoch(columns: tuple[Any, ...]) -> Epoch:
    """An epoch from its columns: id, name, boot, offset, trimmed and attempted; nothing is held of it.

    Raises:
        DamagedRowError: It is no epoch of ours.
    """
    number, name, boot, offset, trimmed, attempted = columns
    texts = isinstance(name, str) and isinstance(boot, str) and _NAME.match(name) is not None
    offset_fits = offset is None or isinstance(offset, float)
    counts = all(isinstance(each, int) and each >= 0 for each in (trimmed, attempted))
    if not (texts and offset_fits and counts and 0 < number < IDS):
        raise DamagedRowError(f"the run of id {number} is none")
    return Epoch(id=number, name=name, boot=boot, offset=offset, trimmed=trimmed, attempted=attempted)


def checked_loss(columns: tuple[Any, ...]) -> Loss:
    """A loss from its columns: id, first, last and reason.

    Raises:
        DamagedRowError: It is none.
    """
    _, first, last, reason = columns
    if not isinstance(first, int) or not isinstance(last, int) or reason not in _REASONS:
        raise DamagedRowError(f"the loss {columns} is none")
    return Loss(*columns)


def checked_letter(columns: tuple[Any, ...], names: Names) -> DeadLetter:
    """A dead letter from its columns: those of a reading, its epoch, reason and retry.

    Raises:
        DamagedRowError: It is not what was written.
    """
    *of_row, epoch, reason, retry = columns
    if not isinstance(epoch, str) or _NAME.match(epoch) is None or not isinstance(reason, str):
        raise DamagedRowError("a dead letter names no run, or no reason")
    return DeadLetter(checked_row(tuple(of_row), epoch, names), epoch, reason, bool(retry))


def _value(kind: int, value: Value) -> Value:
    return bool(value) if kind & 1 else value
