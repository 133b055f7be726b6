"""A COMMIT that fails: at once, or only after it was carried out, so that its answer is all that is lost."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iotxmpp.backoff import Backoff
from iotxmpp.controller.jobs import Job
from iotxmpp.controller.rejection import Origin
from iotxmpp.controller.store import Arrival, Batch, Event, StateChange, Store, Taken
from iotxmpp.controller.store import doubt as doubt_module
from iotxmpp.controller.store.schema import liveness, meta
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import StoreError
from tests.store.samples import NOW, arrival, lost, numbers, take

if TYPE_CHECKING:
    from collections.abc import Callable

HALL = Origin(device="hall", node="n", item="e1.1")
LOST = StateChange(device="hall", state="lost", why="silent", time=NOW)


class Commits:
    """The commits of a store, of which the next ones fail as the test says."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        dialect = store.database._engine.dialect
        self._real: Callable[[Any], None] = dialect.do_commit
        self._error = dialect.loaded_dbapi.OperationalError
        self.plan: list[str] = []
        monkeypatch.setattr(dialect, "do_commit", self._commit)

    def _commit(self, connection: object) -> None:
        what = self.plan.pop(0) if self.plan else ""
        if what != "refused":
            self._real(connection)
        if what:
            raise self._error(f"the commit was {what}")


@pytest.fixture
def commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> Commits:
    take(store, arrival(1))
    return Commits(store, monkeypatch)


def seqs(taken: Taken) -> list[int]:
    return [each.seq for each in taken.readings]


def states(store: Store) -> int:
    with store.database.read() as connection:
        return len(connection.execute(sa.select(liveness)).all())


@pytest.mark.parametrize("what", ["unanswered", "refused"])
def test_what_is_taken_again_is_told_as_new_once(store: Store, commits: Commits, what: str) -> None:
    first, more = arrival(2, 3), arrival(3, 4)
    commits.plan = [what]
    with pytest.raises(StoreError, match=what):
        store.take(Batch(arrivals=[first], records=[LOST]))
    again, new = store.take(Batch(arrivals=[first, more], records=[LOST, LOST]))
    assert (seqs(again), again.duplicates, again.upto) == ([2, 3], 0, 3)
    assert (seqs(new), new.duplicates, new.upto) == ([4], 1, 4)
    assert numbers(store) == [1, 2, 3, 4]
    (later,) = store.take(Batch(arrivals=[first]))
    assert (seqs(later), later.duplicates) == ([], 2), "what was remembered is told once"


@pytest.mark.parametrize(("what", "rows"), [("unanswered", 1), ("refused", 1)])
def test_records_are_there_once(store: Store, commits: Commits, what: str, rows: int) -> None:
    event = Event(device="hall", kind="clone", text="two", time=NOW)
    commits.plan = [what]
    with pytest.raises(StoreError):
        store.take(Batch(records=[LOST]))
    store.take(Batch(records=[LOST, event]))
    assert states(store) == rows


def test_the_answer_to_the_question_may_be_lost_too(store: Store, commits: Commits) -> None:
    given = [arrival(2), lost(3, 4)]
    commits.plan = ["unanswered", "unanswered", "refused"]
    for _ in range(3):
        with pytest.raises(StoreError):
            store.take(Batch(arrivals=given, records=[LOST]))
    one, gap = store.take(Batch(arrivals=given, records=[LOST]))
    assert (seqs(one), gap.lost, gap.upto) == ([2], 2, 4)
    assert states(store) == 1


def test_the_rest_may_fail_while_the_first_part_is_there(store: Store, commits: Commits) -> None:
    first, second = arrival(2), arrival(3)
    commits.plan = ["unanswered"]
    with pytest.raises(StoreError):
        store.take(Batch(arrivals=[first]))
    commits.plan = ["", "unanswered"]
    with pytest.raises(StoreError):
        store.take(Batch(arrivals=[first, second]))
    assert [seqs(each) for each in store.take(Batch(arrivals=[first, second]))] == [[2], [3]]
    assert numbers(store) == [1, 2, 3]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_transaction_that_still_runs_is_waited_for(store: Store) -> None:
    """Its connection broke, and the server has not finished its COMMIT."""
    take(store, arrival(1))
    doubts = store._taker._doubts
    with store.database.write_often() as running:
        token = doubts.leave_token(running)
        doubts.doubt(doubt_module.Doubt(token=token, batch=Batch(records=[LOST]), taken=[]))
        with store.database.read() as other:
            other.execute(sa.text("SET lock_timeout = 300"))
            asked = {"key": doubts._key, "value": ""}
            with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
                other.execute(doubt_module._ASK_POSTGRESQL, asked)
    doubts.settle(store.database)
    store.take(Batch(records=[LOST]))
    assert states(store) == 0, "that transaction is there, so the record is not written again"


def test_tokens_of_stores_that_are_gone_go(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(store, arrival(1))
    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(doubt_module, "OLD", -10)
            other = Store(store_url)
            take(other, arrival(2))
            other.close()
    with store.database.read() as connection:
        keys = connection.execute(sa.select(meta.c.key)).scalars().all()
    assert len([key for key in keys if key.startswith("batch ")]) == 1
    assert "schema" in keys


async def test_handlers_get_it_once(store: Store, commits: Commits) -> None:
    writer = Writer(store, backoff=Backoff(first=0.01, longest=0.01))
    settled: list[int] = []
    delivered: list[int] = []

    async def deliver(taken: Taken) -> None:
        delivered.extend(seqs(taken))

    def job(given: Arrival) -> Job:
        return Job(
            arrival=given, origin=HALL, settled=lambda taken: settled.append(taken.upto), deliver=deliver
        )

    await asyncio.sleep(0)
    commits.plan = ["unanswered"]
    await writer.put(job(arrival(2, 3)))
    writer.keep(LOST)
    await writer.put(job(arrival(3, 4)))
    await writer.drain()
    assert (settled, delivered) == ([3, 4], [2, 3, 4])
    assert (numbers(store), states(store)) == ([1, 2, 3, 4], 1)
    await writer.close()
