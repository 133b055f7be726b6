"""An outbox whose file has another header: damaged, newer, or another program's."""

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.outbox.rows import FIRST, LAST, place_of
from iotxmpp.agent.outbox.schema import APPLICATION, NEWER, VERSION
from iotxmpp.agent.presence import Problems
from iotxmpp.errors import StoreError
from tests.unit.outbox_house import losses_of, numbers, one, opened, set_aside, told_by
from tests.unit.outbox_runs import KEPT, run_once


def may_be_newer(header: bytes) -> bool:
    return (
        int.from_bytes(header[68:72], "big") == APPLICATION
        and VERSION < int.from_bytes(header[60:64], "big", signed=True) <= VERSION + NEWER
    )


async def check_it_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="nothing was changed; run the iotxmpp that made it"):
        async with opened(path, epoch="e2"):
            pass


async def check_it_goes_on(path: Path) -> None:
    """A reading is kept, and each of the run before is there or told as lost."""
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep({"level": ("text" * 200, None)})
        assert keeper.state == "disk"
        known = {row.place for row in await keeper.page(FIRST, LAST, 1000)}
        for first, last, _ in await losses_of(keeper):
            known |= set(range(first, last + 1))
        assert {place_of(1, n) for n in range(1, KEPT + 1)} <= known
        assert max(known) == keeper.last_place


def check_header(made: Path, folder: Path, header: bytes) -> None:
    """An agent on a copy with that header goes on; what may be a newer one's it leaves alone."""
    folder.mkdir()
    path, content = folder / made.name, header + made.read_bytes()[100:]
    shutil.copy(EpochNotes(made).path, folder)
    path.write_bytes(content)
    if may_be_newer(header):
        asyncio.run(check_it_is_refused(path))
        assert (path.read_bytes(), set_aside(folder)) == (content, [])
    else:
        asyncio.run(check_it_goes_on(path))
        assert all(
            each.read_bytes() == content
            for each in set_aside(folder)
            if not each.name.endswith(("-wal", "-shm"))
        )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_random_byte_in_the_header_stops_an_agent(tmp_path: Path, seed: int) -> None:
    chance, made = random.Random(seed), tmp_path / "made" / "outbox.db"  # noqa: S311  # a seed
    asyncio.run(run_once(made))
    for offset in range(100):
        header = bytearray(made.read_bytes()[:100])
        header[offset] ^= chance.randrange(1, 256)
        check_header(made, tmp_path / str(offset), bytes(header))


@pytest.mark.parametrize(("first", "last"), [(0, 100), (60, 64), (68, 72), (60, 72), (16, 100)])
def test_no_random_bytes_in_the_header_stop_an_agent(tmp_path: Path, first: int, last: int) -> None:
    chance, made = random.Random(first + last), tmp_path / "made" / "outbox.db"  # noqa: S311  # a seed
    asyncio.run(run_once(made))
    for number in range(10):
        header = bytearray(made.read_bytes()[:100])
        header[first:last] = chance.randbytes(last - first)
        check_header(made, tmp_path / str(number), bytes(header))


def set_pragmas(path: Path, **values: int) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        for name, value in values.items():
            connection.execute(f"PRAGMA {name} = {value}")
    return path.read_bytes()


@pytest.mark.parametrize("change", [{"application_id": 0x1234}, {"user_version": -7}, {"user_version": 0}])
async def test_our_own_outbox_with_another_header_is_damaged(tmp_path: Path, change: dict[str, int]) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path)
    damaged = set_pragmas(path, **change)
    async with opened(path, epoch="e2", problems=problems) as keeper:
        await keeper.keep(one())
        assert (keeper.state, await numbers(keeper)) == ("disk", [*range(1, KEPT + 1), 1])
        assert await told_by(keeper) == []
        (aside,) = set_aside(tmp_path)
        assert aside.read_bytes() == damaged
        assert aside.name in problems.texts()[0]


async def refused(path: Path, text: str) -> None:
    before = {
        each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith(".lock")
    }
    with pytest.raises(StoreError, match=text):
        async with opened(path, epoch="e2"):
            pass
    after = {
        each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith(".lock")
    }
    assert after == before


@pytest.mark.parametrize("newer", [1, 2, NEWER])
async def test_the_file_of_a_newer_iotxmpp_is_refused_although_its_note_is_there(
    tmp_path: Path, newer: int
) -> None:
    path = tmp_path / "outbox.db"
    await run_once(path)
    set_pragmas(path, user_version=VERSION + newer)
    await refused(path, f"version {VERSION + newer}, this iotxmpp knows {VERSION}; nothing was changed")


@pytest.mark.parametrize("note", [None, b"", b'{"epochs": 5}'])
async def test_without_a_note_another_programs_database_is_refused(
    tmp_path: Path, note: bytes | None
) -> None:
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    if note is not None:
        EpochNotes(path).path.write_bytes(note)
    await refused(path, "a database of another program; nothing was changed; give another path")


@pytest.mark.parametrize("change", [{"application_id": 0x1234}, {"user_version": -7}])
async def test_without_a_note_a_strange_header_is_refused(tmp_path: Path, change: dict[str, int]) -> None:
    path = tmp_path / "outbox.db"
    await run_once(path)
    EpochNotes(path).path.unlink()
    set_pragmas(path, **change)
    await refused(path, "nothing was changed")


async def test_a_file_that_the_system_forbids_to_write_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path)
    damaged = bytearray(path.read_bytes())
    damaged[18] = 9  # SQLite takes it for read-only, as it does where it may not write
    path.write_bytes(damaged)
    with monkeypatch.context() as patch:
        patch.setattr("iotxmpp.agent.outbox.schema.os.access", lambda *_: False)
        async with opened(path, epoch="e2", problems=problems) as keeper:
            assert (keeper.state, set_aside(tmp_path)) == ("memory", [])
            assert "readonly" in problems.texts()[0]


async def test_damaged_files_of_one_second_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotxmpp.agent.outbox.replacing.time.time", lambda: 1_790_000_000.0)
    path = tmp_path / "outbox.db"
    for number in range(3):
        path.write_bytes(b"no database %d" % number * 100)
        async with opened(path, epoch=f"e{number}") as keeper:
            await keeper.keep(one())
    assert sorted(each.read_bytes()[:13] for each in set_aside(tmp_path)) == [
        b"no database %d" % number for number in range(3)
    ]
