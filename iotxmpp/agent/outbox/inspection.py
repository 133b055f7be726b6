"""Looks at an outbox from outside, while an agent may be using it, and judges its dead letters."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.outbox.room import SIZE
from iotxmpp.agent.outbox.rows import DeadLetter, place_of
from iotxmpp.agent.outbox.schema import BUSY, StrangeFileError, is_unfinished, is_unusable, open_to_read
from iotxmpp.agent.outbox.tables import read_letters
from iotxmpp.errors import InvalidError, StoreError


class Waiting(NamedTuple):
    """What waits of one channel.

    Attributes:
        channel: The channel.
        readings: How many.
        bytes: About how much they take.
        oldest: When the oldest was read, in seconds since 1970; None where its clock was not set.
    """

    channel: str
    readings: int
    bytes: int
    oldest: float | None


class Lost(NamedTuple):
    """Readings that were given up, and of which the collector does not know yet.

    Attributes:
        epoch: The name of the run that they belong to.
        first: The number of the first.
        last: The number of the last.
        reason: Why.
    """

    epoch: str
    first: int
    last: int
    reason: str


def waiting(path: Path) -> list[Waiting]:
    """What waits in an outbox, by channel.

    Raises:
        StoreError: It is not there, or cannot be read.
    """
    with _reading(path) as connection:
        rows = connection.execute(
            f"SELECT name, count(*), sum({SIZE}), min(CASE WHEN kind < 4 THEN time END)"  # noqa: S608  # fixed text
            " FROM readings JOIN channels ON channels.id = channel GROUP BY name ORDER BY name"
        )
        return [Waiting(*row) for row in rows]


def lost(path: Path) -> list[Lost]:
    """What was given up and is not acknowledged.

    Raises:
        StoreError: It is not there, or cannot be read.
    """
    with _reading(path) as connection:
        rows = connection.execute(
            "SELECT name, first - (epochs.id << 40), last - (epochs.id << 40), reason FROM losses"
            " JOIN epochs ON epochs.id = first >> 40 ORDER BY first"
        )
        return [Lost(*row) for row in rows]


def dead_letters(path: Path) -> list[DeadLetter]:
    """The readings that could not be delivered, the oldest first.

    Raises:
        StoreError: It is not there, or cannot be read.
    """
    with _reading(path) as connection:
        return read_letters(connection)


def retry(path: Path, letters: Sequence[DeadLetter]) -> None:
    """Asks the agent to publish these again, under new numbers; a running one does so within half a minute.

    Raises:
        InvalidError: The time of one cannot be told.
        StoreError: The outbox cannot be written.
    """
    for letter in letters:
        if letter.row.clock == "r":
            raise InvalidError(f"{name_of(letter)}: its time cannot be told, so it cannot be published")
    _change(path, "UPDATE dead SET retry = 1 WHERE place = ?", letters)


def drop(path: Path, letters: Sequence[DeadLetter]) -> None:
    """Forgets these for good.

    Raises:
        StoreError: The outbox cannot be written.
    """
    _change(path, "DELETE FROM dead WHERE place = ?", letters)


def name_of(letter: DeadLetter) -> str:
    """The name of a dead letter: `<epoch>.<number>`."""
    return f"{letter.epoch}.{letter.row.place - place_of(letter.row.place >> 40, 0)}"


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with _explained(path), closing(open_to_read(path)) as connection:
        yield connection


def _change(path: Path, statement: str, letters: Sequence[DeadLetter]) -> None:
    with _reading(path):  # it is there, and of our version
        pass
    with _explained(path), closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, [(letter.row.place,) for letter in letters])
        connection.execute("COMMIT")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Says which file an error is about, and what becomes of it."""
    try:
        yield
    except StrangeFileError as error:
        if error.is_newer or EpochNotes(path).read() is None:
            raise
        raise StoreError(_damaged(path, f"header: {error.what}")) from error
    except sqlite3.Error as error:
        if is_unusable(error, path):
            raise StoreError(_damaged(path, str(error))) from error
        if is_unfinished(error):
            raise StoreError(
                f"outbox {path}: its agent was killed while it changed the file; it was left so. Start the"
                " agent anew: that undoes what was not finished"
            ) from error
        raise StoreError(
            f"outbox {path}: cannot be used now: {error}; see to the disk, or try again"
        ) from error


def _damaged(path: Path, why: str) -> str:
    return (
        f"outbox {path}: the file is damaged ({why}); nothing was changed. Start its agent anew: that moves"
        f" the file aside (as {path.name}.corrupt-…), begins a new one, and tells the collector what is lost"
    )
