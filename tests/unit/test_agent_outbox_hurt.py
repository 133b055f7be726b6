"""Outboxes that were changed behind the agent's back: each reading is there as it was, or told as lost."""

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.mark import Mark, Marked
from iotxmpp.agent.outbox.notes import EpochNotes, reserved_after
from iotxmpp.agent.outbox.rows import FIRST, LAST, Epoch, epoch_of, place_of, seq_of
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.presence import Problems
from tests.unit.outbox_house import one, opened, set_aside, told_by, trimmed

COUNT = 300
EPOCH = "abcdefabcdef"


async def fill(path: Path, *, epoch: str = EPOCH, count: int = COUNT, killed: bool = False) -> None:
    """A run of an agent; its readings are 1.0, 2.0 and so on."""
    elsewhere = path.with_name("running") / path.name
    shutil.copytree(path.parent, elsewhere.parent, ignore=shutil.ignore_patterns("running"))
    async with opened(elsewhere, epoch=epoch) as keeper:
        for first in range(1, count + 1, 100):
            numbers = range(first, min(first + 100, count + 1))
            await asyncio.gather(*(keeper.keep(one(float(n))) for n in numbers))
        if killed:
            copy(elsewhere.parent, path.parent)
    if not killed:
        copy(elsewhere.parent, path.parent)
    shutil.rmtree(elsewhere.parent)


def copy(source: Path, target: Path) -> None:
    for each in target.iterdir():
        if each.is_file():
            each.unlink()
    for each in source.iterdir():
        shutil.copy(each, target)


async def check(path: Path, *, told: bool = True) -> tuple[int, int]:
    """An agent goes on with it, twice, and accounts for each number; how many are there, and lost."""
    for run in ("e2", "e3"):
        async with asyncio.timeout(20), opened(path, epoch=run, problems=(problems := Problems())) as keeper:
            await keeper.keep(one(-1.0))
            rows = await keeper.page(FIRST, LAST, 10_000)
            mine = [row for row in rows if keeper.epoch_by_id(epoch_of(row.place)).name == EPOCH]
            lost = {
                number
                for gap in await told_by(keeper)
                if gap.epoch == EPOCH
                for first, last in gap.lost
                for number in range(first, last + 1)
            }
            assert all((row.channel, row.value) == ("level", float(seq_of(row.place))) for row in mine)
            there = {seq_of(row.place) for row in mine}
            assert not there & lost
            assert keeper.state == "disk"
            assert not told or set(range(1, COUNT + 1)) <= there | lost
            assert run == "e3" or not lost or problems.texts()
    return len(there), len(lost & set(range(1, COUNT + 1)))


def side(path: Path, name: str) -> Path:
    return path.with_name(path.name + name)


def remove_log(path: Path) -> None:
    side(path, "-wal").unlink()


def cut_log(path: Path) -> None:
    content = side(path, "-wal").read_bytes()
    side(path, "-wal").write_bytes(content[: len(content) // 3])


def flip_log(path: Path) -> None:
    content = bytearray(side(path, "-wal").read_bytes())
    content[32 + 24 + 100] ^= 1
    side(path, "-wal").write_bytes(content)


@pytest.mark.parametrize("hurt", [remove_log, cut_log, flip_log])
async def test_what_a_lost_log_held_is_told(tmp_path: Path, hurt: Callable[[Path], None]) -> None:
    path = tmp_path / "outbox.db"
    await fill(path, epoch="e0", count=1)
    await fill(path, killed=True)
    hurt(path)
    there, lost = await check(path)
    assert lost
    assert there + lost == COUNT


async def test_an_ordinary_kill_loses_nothing_and_alarms_nobody(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await fill(path, epoch="e0", count=1)
    await fill(path, killed=True)
    for stale in (False, True):  # a power cut leaves an older mark
        if stale:
            Mark(path).path.unlink()
        async with opened(path, epoch=f"e{2 + stale}", problems=problems) as keeper:
            assert (await told_by(keeper), problems.texts(), keeper.stock.held) == ([], (), COUNT + 1)


async def test_epochs_that_were_acknowledged_are_not_missed_after_a_kill(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await fill(path, count=5)
    elsewhere = tmp_path / "killed"
    async with opened(path, epoch="e2") as keeper:
        assert keeper.acknowledge({EPOCH: 5})
        await keeper.keep(one())
        await trimmed(keeper, 1)
        shutil.copytree(tmp_path, elsewhere)
    async with opened(elsewhere / path.name, epoch="e3", problems=problems) as keeper:
        assert (await told_by(keeper), problems.texts(), keeper.stock.held) == ([], (), 0)


async def test_an_older_file_beside_a_newer_note_lacks_what_came_later(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    await fill(path, epoch="e0", count=2)
    older = path.read_bytes()
    await fill(path)
    path.write_bytes(older)
    assert await check(path) == (0, COUNT)


def change(statement: str) -> Callable[[Path], None]:
    def hurt(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    return hurt


def replace_bytes(old: bytes, new: bytes) -> Callable[[Path], None]:
    def hurt(path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return hurt


_LAST = "WHERE place = (SELECT max(place) FROM readings)"
HURTS = {
    "channel": change(f"UPDATE readings SET channel = 3 {_LAST}"),  # noqa: S608  # fixed text
    "kind": change(f"UPDATE readings SET kind = 7 {_LAST}"),  # noqa: S608  # fixed text
    "time": change(f"UPDATE readings SET time = 'x' {_LAST}"),  # noqa: S608  # fixed text
    "blob": change(f"UPDATE readings SET value = x'ff' {_LAST}"),  # noqa: S608  # fixed text
    "value": change(f"UPDATE readings SET value = 77.5 {_LAST}"),  # noqa: S608  # fixed text
    "row": change(f"DELETE FROM readings {_LAST}"),  # noqa: S608  # fixed text
    "middle": change("DELETE FROM readings WHERE place & 255 = 7"),
    "epoch": change("UPDATE epochs SET id = 77"),
    "name": replace_bytes(EPOCH.encode(), b"abcde\x01abcdef"),
    "other name": replace_bytes(EPOCH.encode(), b"abcdeXabcdef"),
    "no text": replace_bytes(EPOCH.encode(), b"abcde\xffabcdef"),
    "no channel": replace_bytes(b"level", b"le\xffel"),
    "another channel": replace_bytes(b"level", b"lexel"),
    "schema": replace_bytes(b"CREATE TABLE marks", b"CREATE T\xe8BLE marks"),
}


@pytest.mark.parametrize("name", HURTS)
async def test_a_changed_row_neither_ends_the_agent_nor_reaches_the_collector(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "outbox.db"
    await fill(path)
    HURTS[name](path)
    there, lost = await check(path)
    assert there + lost == COUNT
    if name in {"channel", "kind", "time", "blob", "value", "row"}:
        assert lost == 1


def test_random_damage_is_survived_and_told(tmp_path: Path) -> None:
    for killed in (False, True):
        folder = tmp_path / f"made-{killed}"
        folder.mkdir()
        asyncio.run(fill(folder / "outbox.db", killed=killed))
    for seed in range(60):
        chance, killed = random.Random(seed), bool(seed % 2)  # noqa: S311  # a seed
        folder = tmp_path / str(seed)
        shutil.copytree(tmp_path / f"made-{killed}", folder)
        path = folder / "outbox.db"
        target = side(path, "-wal") if killed else path
        content = bytearray(target.read_bytes())
        match seed // 2 % 4:
            case 0:
                content[chance.randrange(100, len(content))] ^= chance.randrange(1, 256)
            case 1:
                del content[chance.randrange(len(content)) :]
            case 2:
                page = chance.randrange(1, len(content) // 4096) * 4096
                content[page : page + 4096] = chance.choice((bytes(4096), chance.randbytes(4096)))
            case _:
                start = chance.randrange(100, len(content) - 64)
                content[start : start + 64] = chance.randbytes(64)
        target.write_bytes(content)
        asyncio.run(check(path))
        shutil.rmtree(folder)


async def test_an_epoch_that_cannot_be_noted_harms_nobody(tmp_path: Path) -> None:
    notes = EpochNotes(tmp_path / "outbox.db")
    sound = Epoch(id=2, name="e2", boot="b", first=place_of(2, 1), last=place_of(2, 3))
    strange = Epoch(id=1, name="\x01", boot="b", first=place_of(1, 1), last=place_of(1, 3))
    assert notes.write([strange, sound], "e2")
    note = notes.read()
    assert note is not None
    assert (note.epochs, note.running) == ([sound], "e2")


@pytest.mark.parametrize("change", [{"id": 8388607}, {"id": 1 << 22}, {"last": (1 << 40) - 1}])
async def test_a_note_with_impossible_numbers_is_not_believed(tmp_path: Path, change: dict[str, int]) -> None:
    path = tmp_path / "outbox.db"
    noted = {"id": 1, "name": EPOCH, "boot": "b", "first": 1, "last": 20} | change
    EpochNotes(path).path.write_text(json.dumps({"epochs": [noted]}))
    for epoch in ("e1", "e2"):
        async with opened(path, epoch=epoch) as keeper:
            await keeper.keep(one())
            assert (keeper.state, await told_by(keeper)) == ("disk", [])


async def test_a_file_of_version_1_is_brought_up_and_its_readings_are_taken_unchecked(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await fill(path)
    with closing(sqlite3.connect(path)) as connection:
        for table, column in (
            ("epochs", "trimmed"),
            ("epochs", "attempted"),
            ("readings", "crc"),
            ("dead", "crc"),
        ):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("DELETE FROM readings WHERE place & 1023 < 4")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    Mark(path).path.unlink()
    async with opened(path, epoch="e2", problems=problems) as keeper:
        assert (keeper.stock.held, await told_by(keeper), problems.texts()) == (COUNT - 3, [], ())


def test_a_mark_is_read_back_or_says_nothing(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "outbox.db")
    assert mark.read() is None
    assert mark.begin("e1")
    mark.commit(7)
    mark.attempt(5)
    assert mark.read() == Marked("e1", 7, 5)
    mark.close()
    content = mark.path.read_bytes()
    mark.path.write_bytes(content.replace(b"7", b"9", 1))
    assert mark.read() is None
    mark.path.write_bytes(content[:5])
    assert mark.read() is None


async def test_a_killed_run_is_told_up_to_its_note(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    await fill(path, epoch="e0", count=1)
    await fill(path, count=20, killed=True)
    remove_log(path)
    async with opened(path, epoch="e2") as keeper:
        assert [gap.lost for gap in await told_by(keeper)] == [((1, reserved_after(20)),)]
    assert not set_aside(tmp_path)
    DiskOutbox(path).close()
