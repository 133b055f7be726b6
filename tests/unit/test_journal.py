"""Both journals keep the same promises; the one on disk keeps them beyond its process."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.commands import Outcome
from iotxmpp.errors import StoreError
from iotxmpp.serving import calltable
from iotxmpp.serving.calltable import CallTable, open_file
from iotxmpp.serving.filejournal import SqliteJournal
from iotxmpp.serving.journal import CONFLICT, FULL, KEEP, KEEP_EXPIRED, Journal, MemoryJournal

ANNA = "anna@example.org"
BERT = "bert@example.org"
DONE = Outcome(kind="done", result_json="7")
DAY = 86400.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time: float | None = 1.8e9

    def __call__(self) -> float | None:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "file"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Journal]:
    made: Journal = (
        MemoryJournal(now=clock, most=1000)
        if request.param == "memory"
        else SqliteJournal(tmp_path / "calls.db", now=clock, most=1000)
    )
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(path, now=clock or Clock())
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def test_a_call_begins_once(journal: Journal) -> None:
    assert await journal.begin(ANNA, "1", "water", "f", None) is None
    again = await journal.begin(ANNA, "1", "water", "f", None)
    assert again is not None
    assert again.kind == "unknown"


@pytest.mark.parametrize(
    "outcome",
    [
        DONE,
        Outcome(kind="failed", text="OSError: sticks \N{SNOWMAN}"),
        Outcome(kind="rejected", text="no", condition="bad-request/bad-payload"),
    ],
)
async def test_its_outcome_is_given_back_as_it_was(journal: Journal, outcome: Outcome) -> None:
    await journal.begin(ANNA, "1", "water", "f", 2e9)
    await journal.finish(ANNA, "1", outcome)
    assert await journal.begin(ANNA, "1", "water", "f", 2e9) == outcome
    assert await journal.find(ANNA, "1", "f") == outcome
    assert await journal.find(ANNA, "1", "") == outcome


async def test_each_account_has_ids_of_its_own(journal: Journal) -> None:
    await journal.begin(ANNA, "1", "water", "f", None)
    await journal.finish(ANNA, "1", DONE)
    assert await journal.find(BERT, "1", "f") is None
    assert await journal.begin(BERT, "1", "water", "f", None) is None


async def test_an_id_stands_for_one_call(journal: Journal) -> None:
    await journal.begin(ANNA, "1", "water", "f", None)
    await journal.finish(ANNA, "1", DONE)
    for found in (await journal.find(ANNA, "1", "g"), await journal.begin(ANNA, "1", "water", "g", None)):
        assert found is not None
        assert (found.kind, found.condition) == ("rejected", "conflict")
    assert await journal.find(ANNA, "1", "f") == DONE


async def test_what_is_cancelled_never_begins(journal: Journal) -> None:
    assert (await journal.cancel(ANNA, "1", "water")).kind == "cancelled"
    begun = await journal.begin(ANNA, "1", "water", "f", None)
    assert begun is not None
    assert begun.kind == "cancelled"
    assert (await journal.cancel(ANNA, "1", "water")).kind == "cancelled"


async def test_what_has_ended_is_not_cancelled(journal: Journal) -> None:
    await journal.begin(ANNA, "1", "water", "f", None)
    await journal.finish(ANNA, "1", DONE)
    assert await journal.cancel(ANNA, "1", "water") == DONE


async def begin_many(journal: Journal, first: int, count: int) -> None:
    for number in range(first, first + count):
        await journal.begin(ANNA, f"n{number}", "water", "f", None)
        await journal.finish(ANNA, f"n{number}", DONE)


@pytest.mark.parametrize(
    ("expires", "after", "known"),
    [
        (None, KEEP - 60, True),
        (None, KEEP + 60, False),
        (1.8e9 + 30 * DAY, 30 * DAY, True),
        (1.8e9 + 30 * DAY, 31 * DAY + 60, False),
    ],
)
async def test_calls_are_forgotten_in_time(
    journal: Journal, clock: Clock, expires: float | None, after: float, known: bool
) -> None:
    await journal.begin(ANNA, "1", "water", "f", expires)
    await journal.finish(ANNA, "1", DONE)
    assert clock.time is not None
    clock.time += after
    await begin_many(journal, 0, calltable.TIDY_EVERY)
    assert (await journal.find(ANNA, "1", "f") == DONE) is known


async def test_without_a_clock_nothing_is_forgotten_early(journal: Journal, clock: Clock) -> None:
    clock.time = None
    await journal.begin(ANNA, "1", "water", "f", None)
    await journal.finish(ANNA, "1", DONE)
    clock.time = 1.9e9
    await begin_many(journal, 0, calltable.TIDY_EVERY)
    assert await journal.find(ANNA, "1", "f") == DONE
    clock.time += KEEP + 60
    await begin_many(journal, 1000, calltable.TIDY_EVERY)
    assert await journal.find(ANNA, "1", "f") is None


async def test_so_many_are_remembered_and_one_that_runs_always(journal: Journal) -> None:
    await journal.begin(ANNA, "runs", "water", "f", None)
    await begin_many(journal, 0, 749)
    assert await journal.begin(ANNA, "more", "water", "f", None) == FULL
    assert await journal.cancel(ANNA, "other", "water") == FULL
    assert await journal.find(ANNA, "more", "f") is None
    assert await journal.begin(ANNA, "n0", "water", "f", None) == DONE
    found = await journal.find(ANNA, "runs", "f")
    assert found is not None
    assert found.kind == "unknown"


async def test_one_caller_leaves_room_for_others_until_all_is_full(journal: Journal) -> None:
    await begin_many(journal, 0, 750)
    for number in range(250):
        assert await journal.begin("ben@example.org", str(number), "water", "f", None) is None
    assert await journal.begin("ben@example.org", "more", "water", "f", None) == FULL
    await journal.forget("ben@example.org", "0")
    assert await journal.begin("ben@example.org", "more", "water", "f", None) is None


async def test_a_full_journal_forgets_only_what_expired_long_ago(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calltable, "ROOM_EVERY", 0.0)
    now = clock.time
    assert now is not None
    for number in range(750):
        await journal.begin(ANNA, str(number), "water", "f", now + (10.0 if number < 9 else 9e5))
        await journal.finish(ANNA, str(number), DONE)
    clock.time = now + 10.0 + KEEP_EXPIRED - 1.0
    assert await journal.begin(ANNA, "more", "water", "f", None) == FULL
    assert await journal.find(ANNA, "0", "f") == DONE
    clock.time += 2.0
    assert await journal.begin(ANNA, "more", "water", "f", None) is None
    assert await journal.find(ANNA, "0", "f") is None
    assert await journal.find(ANNA, "9", "f") == DONE


async def test_cancelling_under_another_commands_name_is_a_conflict(journal: Journal) -> None:
    await journal.begin(ANNA, "1", "water", "f", None)
    assert await journal.cancel(ANNA, "1", "dose") == CONFLICT
    assert (await journal.cancel(ANNA, "2", "dose")).kind == "cancelled"
    assert await journal.cancel(ANNA, "2", "water") == CONFLICT


async def test_long_results_are_forgotten_and_that_they_ran_is_not(tmp_path: Path, clock: Clock) -> None:
    table = CallTable(open_file(tmp_path / "calls.db"), now=clock, most_bytes=10_000)
    for number in range(2 * calltable.TIDY_EVERY):
        table.begin(ANNA, str(number), "water", "f", None)
        table.finish(ANNA, str(number), Outcome(kind="done", result_json=f'"{"x" * 500}"'))
    first, last = table.find(ANNA, "0", "f"), table.find(ANNA, str(number), "f")
    table.close()
    assert first is not None
    assert (first.kind, first.result_json) == ("done", "null")
    assert last is not None
    assert len(last.result_json) == 502


async def test_a_call_of_an_earlier_process_is_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls.db") as journal:
        await journal.begin(ANNA, "1", "water", "f", None)
        await journal.begin(ANNA, "2", "water", "f", None)
        await journal.finish(ANNA, "2", DONE)
    async with opened(tmp_path / "calls.db") as journal:
        found = await journal.begin(ANNA, "1", "water", "f", None)
        assert found is not None
        assert found.kind == "unknown"
        assert await journal.begin(ANNA, "2", "water", "f", None) == DONE


async def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    path.write_bytes(b"no database, " * 1000)
    journal = SqliteJournal(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is damaged .* move it away"):
            await journal.begin(ANNA, "1", "water", "f", None)
    path.unlink()
    assert await journal.begin(ANNA, "1", "water", "f", None) is None
    await journal.close()


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"calls\.db"):
        await SqliteJournal(tmp_path / "file" / "calls.db").open()


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "calls.db")
    connection.execute("CREATE TABLE theirs (a)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="another program; nothing was changed"):
        await SqliteJournal(tmp_path / "calls.db").open()


async def test_another_version_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls.db"):
        pass
    connection = sqlite3.connect(tmp_path / "calls.db")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(StoreError, match="its table has version 2"):
        await SqliteJournal(tmp_path / "calls.db").open()


async def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls.db") as journal:
        await journal.begin(ANNA, "1", "water", "f", None)
        other = SqliteJournal(tmp_path / "calls.db")
        with pytest.raises(StoreError, match="another program uses it"):
            await other.open()
        await other.close()


async def fill(journal: SqliteJournal, pages: int | None) -> None:
    """Lets the file grow by so many pages; None for as many as it likes."""

    def limit() -> None:
        assert journal._table is not None
        connection = journal._table._connection
        held = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {1_000_000 if pages is None else held + pages}")

    assert journal._thread is not None
    await journal._thread.call(limit)


async def test_a_full_disk_is_refused_and_what_ended_meanwhile_is_written_later(tmp_path: Path) -> None:
    long = Outcome(kind="done", result_json=f'"{"x" * 60_000}"')
    async with opened(tmp_path / "calls.db") as journal:
        await journal.begin(ANNA, "1", "water", "f", None)
        await fill(journal, 0)
        with pytest.raises(StoreError, match="the disk is full; make room"):
            await journal.finish(ANNA, "1", long)
        with pytest.raises(StoreError, match="the disk is full"):
            await journal.begin(ANNA, "2", "water", "f", None)
        await fill(journal, None)
        assert await journal.begin(ANNA, "1", "water", "f", None) == long
    async with opened(tmp_path / "calls.db") as journal:
        assert await journal.find(ANNA, "1", "f") == long


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "finish", "cancel", "crash"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["f", "g"]),
    ),
    max_size=30,
)


@given(OPERATIONS)
async def test_no_id_ever_begins_twice(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "calls.db"
    table = CallTable(open_file(path), now=Clock())
    began: set[str] = set()
    ended: dict[str, str] = {}
    for operation, call_id, mark in operations:
        if operation == "begin":
            found = table.begin(ANNA, call_id, "water", mark, None)
            assert (found is None) == (call_id not in began and call_id not in ended)
            if found is None:
                began.add(call_id)
        elif operation == "finish" and call_id in began and call_id not in ended:
            table.finish(ANNA, call_id, DONE)
            ended[call_id] = "done"
        elif operation == "cancel":
            expected = ended.get(call_id, "unknown" if call_id in began else "cancelled")
            assert table.cancel(ANNA, call_id, "water").kind == expected
            if expected == "cancelled":
                ended[call_id] = expected
        elif operation == "crash":
            table.close()
            table = CallTable(open_file(path), now=Clock())
            ended |= {each: "unknown" for each in began if each not in ended}
    for call_id, kind in ended.items():
        found = table.find(ANNA, call_id, "")
        assert found is not None
        assert found.kind == kind
    table.close()
