"""What is known of a file that is damaged: the epochs noted beside it, and a new file with their loss."""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from iotxmpp.agent.outbox.rows import SPARE_EPOCHS, Epoch, place_of, seq_of
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox

RESERVED = 10_000
"""Numbers of the running epoch that are noted at once, so that this costs next to nothing."""

_LOGGER = logging.getLogger(__name__)


class _Noted(BaseModel):
    id: int = Field(ge=1, lt=2 * SPARE_EPOCHS)
    name: str = Field(pattern=r"\A[A-Za-z0-9-]{1,32}\z")
    boot: str
    first: int = Field(ge=1)
    last: int = Field(lt=1 << 40)


class _Notes(BaseModel):
    epochs: list[_Noted]


class EpochNotes:
    """A small file beside the outbox, `<outbox>.epoch`: the epochs that the outbox holds, in JSON.

    Of the running epoch it names numbers in advance, so that it has to be written but seldom. It says nothing
    if it is not there or cannot be read.
    """

    def __init__(self, outbox: Path) -> None:
        self._path = outbox.with_name(f"{outbox.name}.epoch")

    def write(self, epochs: Iterable[Epoch]) -> None:
        """Notes these epochs instead of those before; a disk that fails is only logged."""
        noted = [
            _Noted(
                id=each.id, name=each.name, boot=each.boot, first=seq_of(each.first), last=seq_of(each.last)
            )
            for each in epochs
            if seq_of(each.first) and each.first <= each.last
        ]
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(_Notes(epochs=noted).model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            _LOGGER.warning("outbox notes %s: %s", self._path, error)

    def read(self) -> list[Epoch]:
        """The epochs that were noted; none where nothing can be told."""
        try:
            noted = _Notes.model_validate_json(self._path.read_bytes()).epochs
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            _LOGGER.warning("outbox notes %s say nothing: %s", self._path, error)
            return []
        return [
            Epoch(
                id=each.id,
                name=each.name,
                boot=each.boot,
                first=place_of(each.id, each.first),
                last=place_of(each.id, each.last),
            )
            for each in noted
            if each.first <= each.last
        ]


def reserved_after(seq: int) -> int:
    """Up to which number an epoch that has come so far is noted."""
    return (seq + RESERVED // 2) // RESERVED * RESERVED + RESERVED


def with_reserve(epochs: Iterable[Epoch], current: int, upto: int) -> list[Epoch]:
    """The epochs as they are noted: the current one up to a number that it has not reached."""
    return [
        replace(each, first=each.first or place_of(each.id, 1), last=place_of(each.id, upto))
        if each.id == current
        else each
        for each in epochs
    ]


def except_from(epoch: Epoch, place: int | None) -> Epoch:
    """The epoch without what begins at that place: it is held elsewhere."""
    return epoch if place is None else replace(epoch, last=min(epoch.last, place - 1))


def start_anew(path: Path, aside: Path, limits: Limits, held: Sequence[Epoch]) -> DiskOutbox:
    """Moves a damaged file away and begins a new one, in which what the old one held is noted as lost.

    Args:
        path: The outbox.
        aside: Where the damaged file goes.
        limits: The new file's bounds.
        held: What is known of it; of other epochs, the notes beside it tell.

    Raises:
        sqlite3.Error: The new file cannot be made.
        OSError: It cannot, or the old one cannot be moved.
    """
    names, ids = {each.name for each in held}, {each.id for each in held}
    lost = list(held)
    for each in EpochNotes(path).read():
        if each.name not in names and each.id not in ids:
            lost.append(each)
            names.add(each.name)
            ids.add(each.id)
    _rename(path, aside)
    outbox = DiskOutbox(path, limits)
    try:
        for epoch in lost:
            outbox.begin(epoch)
            if 0 < epoch.first <= epoch.last:
                outbox.lose(epoch.first, epoch.last, "corrupt")
    except BaseException:
        outbox.close()
        raise
    return outbox


def _rename(path: Path, aside: Path) -> None:
    for suffix in ("-wal", "-shm"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(aside.with_name(aside.name + suffix))
    path.rename(aside)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
