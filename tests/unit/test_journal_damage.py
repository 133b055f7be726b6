"""A journal that is damaged is never taken for a new one, and a clock that is ahead forgets nothing."""

import sqlite3
from pathlib import Path

import pytest

from iotxmpp.agent import commanding
from iotxmpp.agent.clock import Clock as DeviceClock
from iotxmpp.errors import StoreError
from iotxmpp.serving import calltable
from iotxmpp.serving.calltable import CallTable
from iotxmpp.serving.filejournal import SqliteJournal
from iotxmpp.serving.journal import Journal
from tests.unit.test_journal import ANNA, DAY, DONE, begin_many, clock, journal, opened

__all__ = ["clock", "journal"]


async def filled(path: Path, calls: int = 1) -> None:
    """A journal of some calls, all of it in its file."""
    async with opened(path) as made:
        await begin_many(made, 0, calls)


async def test_a_begun_call_is_forgotten_and_one_that_ended_is_not(journal: Journal) -> None:
    await journal.begin(ANNA, "1", "water", "f", None)
    await journal.forget(ANNA, "1")
    await journal.forget(ANNA, "2")
    assert await journal.find(ANNA, "1", "f") is None
    assert await journal.begin(ANNA, "1", "water", "f", None) is None
    await journal.finish(ANNA, "1", DONE)
    await journal.forget(ANNA, "1")
    assert await journal.find(ANNA, "1", "f") == DONE


@pytest.mark.parametrize("keep", [0, 4096, 8192])
async def test_a_journal_that_lost_its_end_is_damaged(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "calls.db"
    await filled(path, 200)
    held = path.read_bytes()
    path.write_bytes(held[:keep])
    damaged = SqliteJournal(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is damaged .* move it away"):
            await damaged.begin(ANNA, "n0", "water", "f", None)
    path.rename(tmp_path / "away.db")
    assert await damaged.begin(ANNA, "n0", "water", "f", None) is None
    await damaged.close()


async def test_pages_that_hold_nonsense_are_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    await filled(path, 500)
    held = bytearray(path.read_bytes())
    middle = len(held) // 2 // 4096 * 4096
    held[middle : middle + 4096] = b"?" * 4096
    path.write_bytes(held)
    with pytest.raises(StoreError, match=r"is damaged .* move it away"):
        await SqliteJournal(path).open()


async def test_an_index_that_misses_a_call_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    await filled(path, 200)
    entry = f"{ANNA}n199".encode()
    parts = path.read_bytes().split(entry)
    in_index = next(number for number, part in enumerate(parts[1:], 1) if not part.startswith(b"water"))
    damaged = entry.join(parts[:in_index]) + f"{ANNA}n19x".encode() + entry.join(parts[in_index:])
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"is damaged .* move it away"):
        await SqliteJournal(path).find(ANNA, "n199", "f")


async def test_damage_that_shows_later_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calls.db"
    await filled(path)

    taken: list[sqlite3.Connection] = []

    class Damaged(calltable.CallTable):
        def __init__(self, connection: sqlite3.Connection, **_: object) -> None:
            taken.append(connection)  # whoever does not close it holds the file
            raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patched:
        patched.setattr("iotxmpp.serving.filejournal.CallTable", Damaged)
        broken = SqliteJournal(path)
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                await broken.open()
            assert "image is malformed" in str(caught.value)
    await broken.close()


async def test_a_table_that_fails_while_it_is_used_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    await filled(path)
    used = SqliteJournal(path)
    await used.open()
    assert used._table is not None

    def fail(*_: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    used._table.find = fail  # type: ignore[assignment,method-assign]  # as a damaged page does
    with pytest.raises(StoreError, match="is damaged"):
        await used.find(ANNA, "n0", "f")
    async with opened(path) as other:  # nobody holds it any more
        assert await other.find(ANNA, "n0", "f") == DONE
    await used.close()


async def test_a_journal_that_was_begun_and_never_made_is_new(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    path.touch()  # the process was killed before it made the tables
    async with opened(path) as made:
        assert await made.begin(ANNA, "1", "water", "f", None) is None
    assert calltable.made_mark(path).exists()


async def test_the_mark_of_a_journal_that_was_moved_away_is_not_the_next_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calls.db"
    await filled(path)
    path.unlink()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(calltable, "_check_version", killed)
        with pytest.raises(KeyboardInterrupt):
            calltable.open_file(path)
    path.touch()
    async with opened(path) as made:
        assert await made.begin(ANNA, "1", "water", "f", None) is None


async def test_a_clock_that_is_not_kept_right_forgets_nothing() -> None:
    wall, right = [1.8e9], [True]
    device = DeviceClock(wall=lambda: wall[0], uptime=lambda: wall[0], synchronised=lambda: right[0])
    now = commanding._kept_right
    assert now(device) == 1.8e9
    wall[0], right[0] = 1.8e9 + 30 * DAY, False
    assert now(device) is None
    wall[0] = 12.0
    assert now(device) is None


async def test_what_could_not_be_taken_back_on_a_full_disk_is_taken_back_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "calls.db")
    await journal.open()
    assert await journal.begin(ANNA, "1", "water", "f", None) is None

    def full(_table: CallTable, _caller: str, _id: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(CallTable, "forget", full)
        with pytest.raises(StoreError, match="disk is full"):
            await journal.forget(ANNA, "1")
        with pytest.raises(StoreError, match="disk is full"):
            await journal.begin(ANNA, "1", "water", "f", None)
    assert await journal.begin(ANNA, "1", "water", "f", None) is None
    await journal.close()
