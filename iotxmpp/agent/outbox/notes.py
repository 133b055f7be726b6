"""The epochs that an outbox holds, noted beside it: what tells its loss if the file itself no longer can."""

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from iotxmpp.agent.outbox.rows import MOST_EPOCHS, Epoch, place_of, seq_of

MOST_AHEAD = 1000
"""Numbers of the running epoch that are noted ahead at most: a note for a thousand costs next to nothing."""

LEAST_AHEAD = 16
"""Numbers that are noted ahead at least."""

PART_AHEAD = 8
"""In between, this part of the numbers so far: a short run is not called much longer than it was."""

_LOGGER = logging.getLogger(__name__)


_NAME = re.compile(r"[A-Za-z0-9-]{1,32}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("an epoch's name is 1 to 32 of A-Z, a-z, 0-9 and -")
    return text


class _Noted(BaseModel):
    id: int = Field(ge=1, lt=MOST_EPOCHS)
    name: Annotated[str, AfterValidator(_name)]  # pydantic's own pattern takes half a megabyte
    boot: str
    first: int = Field(ge=1)
    last: int = Field(lt=1 << 40)


class _Notes(BaseModel):
    epochs: list[_Noted]


class EpochNotes:
    """A small file beside the outbox, `<outbox>.epoch`: the epochs that the outbox holds, in JSON.

    Of the running epoch it names numbers in advance, so that it has to be written but seldom. An agent that
    ends in order leaves it exact.

    Attributes:
        path: The note's file.
    """

    def __init__(self, outbox: Path) -> None:
        self.path = outbox.with_name(f"{outbox.name}.epoch")

    def write(self, epochs: Iterable[Epoch]) -> None:
        """Notes these epochs instead of those before; a disk that fails is only logged."""
        noted = [
            _Noted(
                id=each.id, name=each.name, boot=each.boot, first=seq_of(each.first), last=seq_of(each.last)
            )
            for each in epochs
            if seq_of(each.first) and each.first <= each.last
        ]
        fresh = self.path.with_name(f"{self.path.name}.new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(_Notes(epochs=noted).model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            _LOGGER.warning("outbox notes %s: %s", self.path, error)

    def read(self) -> list[Epoch] | None:
        """The epochs that were noted; None where there is no note, or it cannot be read."""
        try:
            noted = _Notes.model_validate_json(self.path.read_bytes()).epochs
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _LOGGER.warning("outbox notes %s say nothing: %s", self.path, error)
            return None
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
    return seq + min(MOST_AHEAD, max(LEAST_AHEAD, seq // PART_AHEAD)) if seq else 0


def with_reserve(epochs: Iterable[Epoch], current: int, upto: int) -> list[Epoch]:
    """The epochs as they are noted: the current one up to a number that it has not reached."""
    return [
        replace(each, first=each.first or place_of(each.id, 1), last=place_of(each.id, upto))
        if each.id == current
        else each
        for each in epochs
    ]


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
