"""An agent that is killed while it makes, replaces or brings up its outbox: the next start goes on."""

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.rows import FIRST, LAST
from iotxmpp.agent.presence import Problems
from iotxmpp.crashpoints import MAKING_LABELS, REPLACING_LABELS
from tests.unit.outbox_house import one, opened
from tests.unit.outbox_kills import (
    EPOCH,
    Left,
    aside_of,
    copied,
    damage_a_page,
    is_tidy,
    left,
    run_and_crash,
    run_and_kill,
    run_until_promised,
)

COUNT = 600
ALL = frozenset(range(1, COUNT + 1))
NONE: frozenset[int] = frozenset()


async def fill(path: Path) -> None:
    """A run that ends in order, so that its readings are in the file and not in its WAL."""
    async with opened(path, epoch=EPOCH) as keeper:
        await asyncio.gather(*(keeper.keep(one(float(number + 1))) for number in range(COUNT)))


async def filled_and_damaged(folder: Path) -> Path:
    """Readings in a file of which a page is damaged, and in its WAL; all of one run are in the file."""
    path = folder / "outbox.db"
    await fill(path)
    run_until_promised(path, "e2", 20)
    damage_a_page(path)
    assert path.with_name("outbox.db-wal").stat().st_size
    return path


def delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize("label", MAKING_LABELS)
async def test_a_kill_at_the_first_start_costs_nothing(tmp_path: Path, label: str) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    run_and_crash(path, "k1", label)
    run_until_promised(path, EPOCH, COUNT)
    assert await left(path, "e2", problems) == Left(ALL, NONE)
    assert problems.texts() == ()
    assert is_tidy(tmp_path)


@pytest.mark.parametrize("label", MAKING_LABELS)
async def test_a_kill_while_a_deleted_file_is_made_anew_hides_no_loss(tmp_path: Path, label: str) -> None:
    path = tmp_path / "outbox.db"
    await fill(path)
    delete(path)
    run_and_crash(path, "k1", label)
    for epoch in ("e3", "e4"):
        assert await left(path, epoch) == Left(NONE, ALL)
    assert is_tidy(tmp_path)


async def test_the_log_of_a_deleted_file_is_not_taken_for_that_of_the_new_one(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await fill(path)
    run_until_promised(path, "e2", 20)
    path.unlink()
    assert path.with_name("outbox.db-wal").stat().st_size
    assert await left(path, "e3", problems) == Left(NONE, ALL)
    assert "the outbox's file was gone or empty" in problems.texts()[0]
    assert aside_of(path) == []


@pytest.mark.parametrize("label", [*REPLACING_LABELS, "file.written"])
async def test_a_kill_while_a_damaged_file_is_replaced_costs_nothing(tmp_path: Path, label: str) -> None:
    path = await filled_and_damaged(tmp_path / "killed")
    control = copied(path, tmp_path / "control")
    expected = await left(control, "e3")
    assert len(expected.told) > 10
    assert len(expected.held) > COUNT // 2
    assert expected.told | expected.held == ALL
    run_and_crash(path, "k1", label)
    for epoch in ("e3", "e4"):
        assert await left(path, epoch) == expected
    assert [each.read_bytes() for each in aside_of(path)] == [each.read_bytes() for each in aside_of(control)]
    assert is_tidy(path.parent)


async def test_a_kill_at_each_step_of_replacing_one_after_the_other(tmp_path: Path) -> None:
    path = await filled_and_damaged(tmp_path / "killed")
    expected = await left(copied(path, tmp_path / "control"), "e3")
    for number, label in enumerate((REPLACING_LABELS[0], *REPLACING_LABELS)):
        run_and_crash(path, f"k{number}", label)
    assert await left(path, "e3") == expected
    assert len(aside_of(path)) == 1
    assert is_tidy(path.parent)


@pytest.mark.parametrize("label", ["outbox.ready", "outbox.aside", "outbox.aside:2"])
async def test_a_kill_leaves_what_belongs_together_together(tmp_path: Path, label: str) -> None:
    path = tmp_path / "outbox.db"
    await fill(path)
    path.write_bytes(b"no database" * 1000)
    path.with_name("outbox.db-wal").write_bytes(b"no log" * 1000)
    run_and_crash(path, "k1", label)
    assert await left(path, "e3") == Left(NONE, ALL)
    (aside,) = aside_of(path)
    assert aside.read_bytes() == b"no database" * 1000
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"no log" * 1000


async def test_a_kill_at_any_moment_of_making_and_replacing(tmp_path: Path) -> None:
    chance = random.Random(20_261_121)  # noqa: S311  # a seed
    damaged = await filled_and_damaged(tmp_path / "damaged")
    expected = await left(copied(damaged, tmp_path / "control"), "e3")
    whole = tmp_path / "whole" / "outbox.db"
    whole.parent.mkdir()
    await fill(whole)
    for number in range(8):
        first = tmp_path / f"first-{number}" / "outbox.db"
        first.parent.mkdir()
        run_and_kill(first, "k1", chance)
        run_until_promised(first, EPOCH, COUNT)
        assert await left(first, "e2") == Left(ALL, NONE)
        deleted = copied(whole, tmp_path / f"deleted-{number}")
        delete(deleted)
        run_and_kill(deleted, "k1", chance)
        assert await left(deleted, "e3") == Left(NONE, ALL)
        replaced = copied(damaged, tmp_path / f"damaged-{number}")
        run_and_kill(replaced, "k1", chance)
        assert await left(replaced, "e3") == expected
        for each in (first, deleted, replaced):
            assert is_tidy(each.parent)
            shutil.rmtree(each.parent)


async def test_a_kill_while_a_file_of_version_1_is_brought_up_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    await fill(path)
    columns = {"epochs": ("trimmed", "attempted"), "readings": ("crc",), "dead": ("crc",)}
    with closing(sqlite3.connect(path)) as connection:
        for table, names in columns.items():
            for name in names:
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    for epoch in ("k1", "k2"):
        run_and_crash(path, epoch, "outbox.migrated")
    assert await left(path, "e2") == Left(ALL, NONE)
    assert aside_of(path) == []


async def test_an_unfinished_file_beside_a_good_one_is_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    await fill(path)
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(f"outbox.db.making{suffix}").write_bytes(b"half")
    assert await left(path, "e2") == Left(ALL, NONE)
    assert is_tidy(tmp_path)


async def test_what_takes_the_place_of_a_link_is_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path, target = tmp_path / "outbox.db", tmp_path / "data" / "real.db"
    path.symlink_to(target)
    async with opened(path) as keeper:
        await keeper.keep(one())
    target.write_bytes(b"no database" * 100)
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        assert (keeper.state, len(await keeper.page(FIRST, LAST, 9))) == ("disk", 1)
    assert path.is_symlink()
    assert [each.read_bytes()[:11] for each in aside_of(target)] == []
    assert [each.read_bytes()[:11] for each in target.parent.glob("real.db.corrupt-*")] == [b"no database"]
