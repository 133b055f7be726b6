"""The epochs that an outbox holds, noted beside it: what tells its loss if the file itself no longer can."""

import logging
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from iotxmpp.agent.durable import replace_file
from iotxmpp.agent.outbox.checks import NAME
from iotxmpp.agent.outbox.rows import NOTED_IDS, Epoch, place_of, seq_of

MOST_AHEAD = 1000
"""Numbers of the running epoch that are noted ahead at most: a note for a thousand costs next to nothing."""

LEAST_AHEAD = 16
"""Numbers that are noted ahead at least."""

PART_AHEAD = 8
"""In between, this part of the numbers so far: a short run is not called much longer than it was."""

MOST_NOTED = 100_000_000
"""Numbers of one epoch that a note is believed: those of eleven days, at a hundred a second."""

_LOGGER = logging.getLogger(__name__)


def _name(text: str) -> str:
    if not re.match(NAME, text):
        raise ValueError("an epoch's name is 1 to 32 of A-Z, a-z, 0-9 and -")
    return text


class _Noted(BaseModel):
    id: int = Field(ge=1, lt=NOTED_IDS)
    name: Annotated[str, AfterValidator(_name)]  # pydantic's own pattern takes half a megabyte
    boot: str
    first: int = Field(ge=1)
    last: int = Field(lt=1 << 40)

    @model_validator(mode="after")
    def _check_count(self) -> Self:
        if self.last - self.first > MOST_NOTED:
            raise ValueError(f"more than {MOST_NOTED} numbers of {self.name}")
        return self


class _Notes(BaseModel):
    running: str | None = ""
    epochs: list[_Noted]


class Note(NamedTuple):
    """What a note says.

    Attributes:
        epochs: The epochs that the outbox held.
        running: The name of the one of which numbers were noted in advance; None where all are exact, empty
            where nobody can tell.
    """

    epochs: list[Epoch]
    running: str | None


class EpochNotes:
    """A small file beside the outbox, `<outbox>.epoch`: the epochs that the outbox holds, in JSON.

    Of the running epoch it names numbers in advance, so that it has to be written but seldom. An agent that
    ends in order leaves it exact.

    Attributes:
        path: The note's file.
    """

    def __init__(self, outbox: Path) -> None:
        self.path = outbox.with_name(f"{outbox.name}.epoch")

    def write(self, epochs: Iterable[Epoch], running: str | None = None) -> bool:
        """Notes these epochs instead of those before; what fails is only logged.

        Args:
            epochs: The epochs.
            running: The name of the one of which numbers are noted in advance; None for none.

        Returns:
            Whether the note is on the disk, with all of them.
        """
        noted = [each for each in map(_noted, epochs) if each is not None]
        try:
            replace_file(self.path, _Notes(running=running, epochs=noted).model_dump_json(), mode=0o666)
        except (OSError, ValueError) as error:
            _LOGGER.warning("outbox notes %s: %s", self.path, error)
            return False
        return True

    def read(self) -> Note | None:
        """What was noted; None where there is no note, or it cannot be read."""
        try:
            found = _Notes.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _LOGGER.warning("outbox notes %s say nothing: %s", self.path, error)
            return None
        epochs = [
            Epoch(
                id=each.id,
                name=each.name,
                boot=each.boot,
                first=place_of(each.id, each.first),
                last=place_of(each.id, each.last),
            )
            for each in found.epochs
            if each.first <= each.last
        ]
        return Note(epochs, found.running)


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


def _noted(epoch: Epoch) -> _Noted | None:
    """As it is noted; None where there is nothing to note, or it cannot be."""
    first, last = seq_of(epoch.first), seq_of(epoch.last)
    if not first or first > last:
        return None
    try:
        return _Noted(id=epoch.id, name=epoch.name, boot=epoch.boot, first=first, last=last)
    except ValidationError as error:
        _LOGGER.warning("run %r is not noted: %s", epoch.name, error)
        return None
