"""A rollback journal beside an outbox, which a kill left: SQLite undoes it, or it is another file's."""

import asyncio
import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.inspection import waiting
from iotxmpp.agent.outbox.schema import is_corrupt, is_unfinished, is_unusable
from iotxmpp.agent.presence import Problems
from iotxmpp.errors import StoreError
from tests.unit.agent_house import until
from tests.unit.outbox_house import numbers, one, opened, set_aside, told_by
from tests.unit.outbox_runs import KEPT, gap, run_and_be_killed, run_once

NOBODY = 65_534


def journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def leave_hot_journal(path: Path) -> None:
    """The journal of a file that was empty before: it undoes all that is in it."""
    header = struct.pack(">8sIIIII", bytes.fromhex("d9d505f920a163d7"), 0, 0x858E2EAC, 0, 512, 4096)
    journal_of(path).write_bytes(header.ljust(512, b"\0"))


def leave_half_made(path: Path) -> None:
    """As an agent of old does that is killed while SQLite switches its new file to WAL mode."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
    leave_hot_journal(path)
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as caught,
    ):
        connection.execute("PRAGMA user_version")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK


async def test_a_file_that_was_half_made_is_made_anew(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    leave_half_made(path)
    async with opened(path, problems=problems) as keeper:
        await keeper.keep(one())
        assert (keeper.state, problems.texts()) == ("disk", ())
    async with opened(path, epoch="e2") as keeper:
        assert (await numbers(keeper), await told_by(keeper)) == ([1], [])
    assert not journal_of(path).exists()


async def test_what_was_in_the_file_before_is_told(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    await run_once(path)
    path.unlink()
    leave_half_made(path)
    async with opened(path, epoch="e2") as keeper:
        assert (keeper.state, await told_by(keeper)) == ("disk", [gap("e1", 1, KEPT)])


@pytest.mark.parametrize("run", [run_once, run_and_be_killed])
async def test_the_journal_of_another_file_spoils_no_full_outbox(
    tmp_path: Path, run: Callable[[Path], Awaitable[None]]
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run(path)
    leave_hot_journal(path)
    async with opened(path, epoch="e2", problems=problems) as keeper:
        assert await numbers(keeper) == [*range(1, KEPT + 1)]
        assert (keeper.state, await told_by(keeper), problems.texts()) == ("disk", [], ())
    assert not journal_of(path).exists()
    assert set_aside(tmp_path) == []


async def test_a_journal_left_by_a_deleted_file_spoils_no_new_one(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    leave_hot_journal(path)
    async with opened(path) as keeper:
        await keeper.keep(one())
    async with opened(path, epoch="e2") as keeper:
        assert await numbers(keeper) == [1]


async def test_in_another_programs_file_sqlite_undoes_and_nothing_else_is_changed(tmp_path: Path) -> None:
    path, source = tmp_path / "outbox.db", tmp_path / "source.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE words (word)")
        connection.executemany("INSERT INTO words VALUES (?)", [("old" * 500,) for _ in range(100)])
        committed = source.read_bytes()
        connection.execute("PRAGMA cache_size = 2")
        connection.execute("BEGIN")
        connection.execute("UPDATE words SET word = replace(word, 'old', 'new')")
        shutil.copy(source, path)
        shutil.copy(journal_of(source), journal_of(path))
        connection.execute("ROLLBACK")
    assert path.read_bytes() != committed
    with pytest.raises(StoreError, match="a database of another program"):
        async with opened(path):
            pass
    assert path.read_bytes() == committed
    assert not journal_of(path).exists()
    assert not path.with_name("outbox.db-wal").exists()


async def test_who_only_looks_leaves_it_to_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    leave_half_made(path)
    before = path.read_bytes(), journal_of(path).read_bytes()
    with pytest.raises(StoreError, match=r"its agent was killed .* Start the agent anew"):
        waiting(path)
    assert (path.read_bytes(), journal_of(path).read_bytes()) == before


@contextmanager
def closed_to_us(folder: Path) -> Iterator[Callable[[], None]]:
    """Forbids this process to make or remove files in a folder, until it calls what this gives."""
    user = os.geteuid()
    if user == 0:  # to whom nothing is forbidden
        for each in (folder, *folder.iterdir()):
            os.chown(each, NOBODY, -1)
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield lambda: folder.chmod(0o755)
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


async def test_in_a_folder_that_cannot_be_written_it_goes_on_in_memory_until_it_can(tmp_path: Path) -> None:
    await run_once(tmp_path / "other.db")  # so that nothing needs to be imported by somebody else
    with tempfile.TemporaryDirectory(prefix="iotxmpp-closed-") as name:
        path, problems = Path(name) / "outbox.db", Problems()
        leave_half_made(path)
        path.with_name("outbox.db.lock").touch()
        with closed_to_us(path.parent) as open_up:
            async with opened(path, problems=problems) as keeper:
                await keeper.keep(one())
                assert keeper.state == "memory"
                assert "readings are kept in memory" in problems.texts()[0]
                await asyncio.sleep(0.1)
                assert keeper.state == "memory"
                open_up()
                await until(lambda: keeper.state == "disk")
                await until(lambda: problems.texts() == ())
            async with opened(path, epoch="e2") as keeper:
                assert await numbers(keeper) == [1]


def error_of(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "corrupt", "unusable", "unfinished"),
    [
        (sqlite3.SQLITE_CORRUPT, True, True, False),
        (sqlite3.SQLITE_CORRUPT_INDEX, True, True, False),
        (sqlite3.SQLITE_NOTADB, True, True, False),
        (sqlite3.SQLITE_ERROR, False, True, False),
        (sqlite3.SQLITE_ERROR_MISSING_COLLSEQ, False, True, False),
        (sqlite3.SQLITE_READONLY, False, True, False),
        (sqlite3.SQLITE_READONLY_DIRECTORY, False, False, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, False, False, False),
        (sqlite3.SQLITE_READONLY_ROLLBACK, False, False, True),
        (sqlite3.SQLITE_READONLY_RECOVERY, False, False, True),
        (sqlite3.SQLITE_READONLY_CANTINIT, False, False, True),
        (sqlite3.SQLITE_IOERR_SHORT_READ, False, False, False),
        (sqlite3.SQLITE_BUSY_RECOVERY, False, False, False),
        (sqlite3.SQLITE_FULL, False, False, False),
    ],
)
def test_what_an_error_says_of_the_file(
    tmp_path: Path, code: int, corrupt: bool, unusable: bool, unfinished: bool
) -> None:
    error, path = error_of(code), tmp_path / "outbox.db"
    path.touch()
    found = is_corrupt(error), is_unusable(error, path), is_unfinished(error)
    assert found == (corrupt, unusable, unfinished)
