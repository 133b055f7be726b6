"""Checks of what is read from an outbox's file: a byte that changed there must not go for a reading."""

import functools
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from math import nan
from typing import Any, get_args
from zlib import crc32

from iotxmpp.agent.outbox.inserting import Columns
from iotxmpp.agent.outbox.rows import IDS, DeadLetter, Epoch, Loss, Row, epoch_of, place_of, row_of, seq_of
from iotxmpp.delivery import GapReason
from iotxmpp.readings import ClockQuality

NAME = r"\A[A-Za-z0-9-]{1,32}\Z"
"""What the name of an epoch looks like."""

_NAME = re.compile(NAME)
_QUALITIES: tuple[ClockQuality, ...] = ("s", "u", "r")
_REASONS = frozenset(get_args(GapReason))
_ESCAPED = "backslashreplace"
_NUMBERS = (float, int)  # as SQLite gives them: in built-in types
_VALUES = (float, int, str)
_KINDS = range(2 * len(_QUALITIES))
_KIND_OF = {quality: 2 * index for index, quality in enumerate(_QUALITIES)}

Names = dict[int, tuple[str, str | None]]
"""Name and unit of channels, by their ids in one file."""


class DamagedRowError(sqlite3.DatabaseError):
    """A row was changed by something other than iotxmpp; SQLite itself did not notice."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def sealed(rows: Sequence[Row], epoch: str, number_of: Callable[[str, str | None], int]) -> Iterator[Columns]:
    """Readings of one epoch as the file has them, with a CRC-32 over all that the collector gets.

    The kind is its clock's quality, and whether it is a truth value, as one number. The CRC is of Python's
    text of the tuple of those, put together here from parts, for every reading has one.

    Args:
        rows: The readings.
        epoch: The name of their epoch.
        number_of: Gives the file's number of a channel's name and unit.
    """
    start = place_of(epoch_of(rows[0].place), 0) if rows else 0
    named = measured = trusted = None
    read = nan
    number = kind = head = 0
    after = moment = middle = ""
    for place, channel, unit, time, clock, value in rows:
        changed = channel is not named or unit is not measured or clock is not trusted
        if changed:  # mostly they are the very same
            named, measured, trusted = channel, unit, clock
            head, after = _around_number(epoch, channel, unit)
            number, kind = number_of(channel, unit), _KIND_OF[clock]
        if time != read:  # readings of one sample share it, and its text takes longest
            read, moment, changed = time, f"{time + 0.0!r}", True
        if changed:
            middle = f"{after}{moment}, {kind}, "
        if type(value) is bool:
            text = f"{place - start}{after}{moment}, {kind + 1}, {int(value)!r})"
            yield place, number, time, kind + 1, value, crc32(text.encode("ascii", _ESCAPED), head)
        else:
            text = f"{place - start}{middle}{value!r})"
            yield place, number, time, kind, value, crc32(text.encode("ascii", _ESCAPED), head)


@functools.lru_cache(maxsize=256)  # the same few all the time
def _around_number(epoch: str, channel: str, unit: str | None) -> tuple[int, str]:
    """The CRC of what stands before a reading's number, and what stands after that."""
    return crc32(f"({epoch!r}, ".encode("ascii", _ESCAPED)), f", {channel!r}, {unit or ''!r}, "


def checked_rows(found: Sequence[tuple[Any, ...]], epoch: str | None, names: Names) -> list[Row]:
    """Readings of one epoch from their columns: place, channel, time, kind, value and crc.

    Args:
        found: What the file says.
        epoch: The name of their epoch; None where the file knows none.
        names: The channels that the file knows.

    Raises:
        DamagedRowError: One is not what was written; a crc of None is not looked at.
    """
    rows: list[Row] = []
    start = place_of(epoch_of(found[0][0]), 0) if found else 0
    for place, channel, time, kind, value, _ in found:
        named = names.get(channel)
        if (
            epoch is None
            or place == start
            or named is None
            or type(time) not in _NUMBERS
            or type(value) not in _VALUES
            or type(kind) is not int
            or kind not in _KINDS
        ):
            raise DamagedRowError(f"reading {epoch}.{seq_of(place)}: its run, channel or columns cannot be")
        name, unit = named
        good = bool(value) if kind & 1 else value
        rows.append(row_of((place, name, unit, time, _QUALITIES[kind >> 1], good)))
    for columns, wanted in zip(found, sealed(rows, epoch or "", _no_number), strict=True):
        if wanted[5] != columns[5] and columns[5] is not None:
            raise DamagedRowError(f"reading {epoch}.{seq_of(columns[0])}: its checksum is wrong")
    return rows


def _no_number(_name: str, _unit: str | None) -> int:
    return 0


def checked_row(columns: tuple[Any, ...], epoch: str | None, names: Names) -> Row:
    """As `checked_rows`, for one."""
    return checked_rows((columns,), epoch, names)[0]


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
