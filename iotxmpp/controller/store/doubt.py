"""A transaction whose COMMIT got no answer: whether it came to be, and what need not be written again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from iotxmpp.controller.store.batch import Arrival, Batch, Record, Taken
from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.direct import Direct
from iotxmpp.controller.store.schema import meta

OLD = 7 * 86400
"""Seconds after which the token of another open store may go: nobody asks for it any more."""

_PREFIX = "batch "


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A transaction that may have come to be.

    Attributes:
        token: What it left, if it did.
        batch: What was written in it.
        taken: What came of the batch's arrivals.
    """

    token: str
    batch: Batch
    taken: Sequence[Taken]


class Doubts:
    """Each transaction leaves a token in one row; if its COMMIT failed, the token says whether it is there.

    What is found to be there is remembered, and left out when it is to be written again.
    """

    def __init__(self) -> None:
        self._key = f"{_PREFIX}{uuid4().hex}"
        self._count = 0
        self._doubt: Doubt | None = None
        # By identity: equal ones may well come twice.
        self._there: dict[int, tuple[Arrival | Record, Taken | None]] = {}

    def leave_token(self, direct: Direct) -> str:
        """Leaves a token in a transaction, and gives it."""
        self._count += 1
        now = time.time()
        if self._count == 1:
            old = meta.c.key.startswith(_PREFIX), meta.c.value < f"{now - OLD:012.0f}"
            direct.connection.execute(sa.delete(meta).where(*old))
        token = f"{now:012.0f} {self._count}"
        direct.execute(_LEAVE, (self._key, token))
        return token

    def doubt(self, doubt: Doubt) -> None:
        """The commit of this failed."""
        self._doubt = doubt

    def settle(self, database: Database) -> None:
        """Finds out whether the transaction in doubt came to be.

        Raises:
            StoreError: That cannot be told yet.
        """
        doubt = self._doubt
        if doubt is None:
            return
        with database.write() as connection:
            # An insert of the same key waits for a transaction that still runs; a mere look would not.
            statement = _ASK_SQLITE if connection.dialect.name == "sqlite" else _ASK_POSTGRESQL
            left = connection.execute(statement, {"key": self._key, "value": ""}).scalar_one()
        self._doubt = None
        if left == doubt.token:
            self._there |= {
                id(each): (each, taken) for each, taken in zip(doubt.batch.arrivals, doubt.taken, strict=True)
            }
            self._there |= {id(each): (each, None) for each in doubt.batch.records}

    def missing(self, batch: Batch) -> Batch:
        """What of a batch is to be written."""
        if not self._there:
            return batch
        return Batch(
            arrivals=[each for each in batch.arrivals if id(each) not in self._there],
            records=[each for each in batch.records if id(each) not in self._there],
        )

    def complete(self, batch: Batch, taken: Sequence[Taken]) -> list[Taken]:
        """What came of a batch whose missing part is written; what was remembered of it is forgotten."""
        if not self._there:
            return list(taken)
        rest = iter(taken)
        complete = [self._there.get(id(each), (each, None))[1] or next(rest) for each in batch.arrivals]
        for each in (*batch.arrivals, *batch.records):
            self._there.pop(id(each), None)
        return complete


def _ask(insert: sqlite.Insert | postgresql.Insert) -> sa.Executable:
    same = insert.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": meta.c.value})
    return same.returning(meta.c.value)


_LEAVE = (
    f"INSERT INTO {meta.name} (key, value) VALUES (?, ?)"  # noqa: S608  # our own name
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_ASK_SQLITE, _ASK_POSTGRESQL = _ask(sqlite.insert(meta)), _ask(postgresql.insert(meta))
