"""What can still be read of a damaged outbox, for the one that is begun in its place."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from iotxmpp.agent.outbox.checks import (
    DamagedRowError,
    Names,
    checked_epoch,
    checked_letter,
    checked_loss,
    checked_row,
)
from iotxmpp.agent.outbox.expected import free_id
from iotxmpp.agent.outbox.rows import DeadLetter, Epoch, Loss, Row, epoch_of, place_of, seq_of
from iotxmpp.agent.outbox.schema import FAULTS, open_read_only

if TYPE_CHECKING:
    import sqlite3

AT_ONCE = 500
"""Readings that are taken over at a time."""

_SIDES = ("-wal", "-shm")


class Salvage:
    """Reads a damaged file row by row, and leaves out what cannot be right; the file stays as it is.

    Readings are read forwards until a page is broken, then backwards from the end until one is.

    Attributes:
        unexpected: Epochs of the file that nobody expected, under ids that are free.
    """

    def __init__(self, path: Path | None, expected: Sequence[Epoch]) -> None:
        """Makes one.

        Args:
            path: The damaged file; None where there is none.
            expected: What should be in it, under the ids of the new file.
        """
        self.unexpected: list[Epoch] = []
        self._path = path
        self._targets = {each.name: each for each in expected}
        self._runs: dict[int, list[str]] = {each.id: [each.name] for each in expected}
        self._names: Names = {}
        self._connection: sqlite3.Connection | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Opens the file, as far as that goes."""
        if self._path is not None:
            sides = [self._path.with_name(self._path.name + side) for side in _SIDES]
            self._made = [each for each in sides if not each.exists()]
            with suppress(*FAULTS):
                self._connection = open_read_only(self._path)
                self._connection.text_factory = lambda text: text.decode(errors="surrogateescape")
            self._read_runs()
            for number, name, unit in self._rows("SELECT id, name, unit FROM channels"):
                if isinstance(name, str) and isinstance(unit, str):
                    self._names[number] = (name, unit or None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        if self._connection is not None:
            self._connection.close()
        for side in self._made:
            with suppress(OSError):
                side.unlink()

    def losses(self) -> Iterator[Loss]:
        """The losses of epochs that are expected."""
        for columns in self._rows("SELECT id, first, last, reason FROM losses ORDER BY id"):
            with suppress(DamagedRowError):
                loss = checked_loss(columns)
                for name in self._runs.get(epoch_of(loss.first), ()):
                    target = self._targets[name]
                    first = max(target.first, place_of(target.id, seq_of(loss.first)))
                    last = min(target.last, place_of(target.id, seq_of(loss.last)))
                    if target.is_held and first <= last and epoch_of(loss.first) == epoch_of(loss.last):
                        yield Loss(loss.id, first, last, loss.reason)
                    break

    def readings(self) -> Iterator[Sequence[Row]]:
        """The readings, some at a time."""
        yield from self._in_parts(self._sound(self._readings()))

    def letters(self) -> Iterator[DeadLetter]:
        """The dead letters."""
        query = (
            "SELECT place, channel, time, kind, value, {crc}, epoch, reason, retry FROM dead ORDER BY place"
        )
        for columns in self._checked_rows(query):
            with suppress(DamagedRowError):
                letter = checked_letter(columns, self._names)
                if _is_text(letter.row) and _is_utf8(letter.reason):
                    yield letter

    def _readings(self) -> Iterator[tuple[Any, ...]]:
        query = "SELECT place, channel, time, kind, value, {crc} FROM readings"
        reached = 0
        for columns in self._checked_rows(f"{query} ORDER BY place"):
            if columns[0] > reached:  # a damaged tree may have an order of its own
                reached = columns[0]
                yield columns
        yield from self._checked_rows(f"{query} WHERE place > ? ORDER BY place DESC", reached)

    def _sound(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
        for columns in rows:
            for name in self._runs.get(epoch_of(columns[0]), ()):
                try:
                    row = checked_row(columns, name, self._names)
                except DamagedRowError:
                    continue
                target = self._targets[name]
                row = row._replace(place=place_of(target.id, seq_of(row.place)))
                if _is_text(row) and (not target.last or target.first <= row.place <= target.last):
                    yield row
                break

    def _read_runs(self) -> None:
        for columns in self._rows("SELECT id, name, boot, offset, 0, 0 FROM epochs ORDER BY id"):
            try:
                epoch = checked_epoch(columns)
                epoch.boot.encode()
            except (DamagedRowError, UnicodeEncodeError):
                continue
            names = self._runs.get(epoch.id, [])
            if epoch.name not in self._targets:
                number = free_id(each.id for each in self._targets.values())
                self._targets[epoch.name] = Epoch(
                    id=number, name=epoch.name, boot=epoch.boot, offset=epoch.offset
                )
                self.unexpected.append(self._targets[epoch.name])
            self._runs[epoch.id] = [epoch.name, *(each for each in names if each != epoch.name)]

    def _checked_rows(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        """Rows of a table whose checksums a file of version 1 does not have."""
        crc = (
            "crc" if any(self._rows("SELECT 1 FROM pragma_table_info('dead') WHERE name = 'crc'")) else "NULL"
        )
        return self._rows(query.format(crc=crc), *values)

    def _rows(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        """The rows of a query until one cannot be read."""
        if self._connection is not None:
            with suppress(*FAULTS):
                yield from self._connection.execute(query, values)

    def _in_parts(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        part: list[Row] = []
        for row in rows:
            part.append(row)
            if len(part) >= AT_ONCE:
                yield part
                part = []
        if part:
            yield part


def _is_text(row: Row) -> bool:
    return all(_is_utf8(each) for each in (row.channel, row.unit or "", row.value) if isinstance(each, str))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
