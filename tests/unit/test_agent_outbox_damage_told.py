"""What an agent tells of a damaged outbox, and for how long."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.notes import reserved_after
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.presence import Problems
from tests.unit.outbox_house import numbers, one, opened, set_aside, told_by, trimmed
from tests.unit.outbox_runs import KEPT, gap, run_and_be_killed, run_once


async def test_a_damage_is_over_once_the_collector_knows_of_the_loss(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path)
    path.write_bytes(b"no database" * 1000)
    async with opened(path, epoch="e2", problems=problems) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(3)))
        assert "up to 5 readings may be lost" in problems.texts()[0]
        await trimmed(keeper, 3)
        assert problems.texts()
        assert keeper.acknowledge({"e1": KEPT - 1})
        keeper._trim_at = 0.0
        await keeper.flush()
        assert problems.texts()
        assert keeper.acknowledge({"e1": KEPT})
        keeper._trim_at = 0.0
        await keeper.flush()
        assert problems.texts() == ()
    assert set_aside(tmp_path)


async def test_a_damage_that_took_nothing_along_is_over_with_the_next_ack(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path, acked=KEPT)
    path.write_bytes(b"no database" * 1000)
    async with opened(path, epoch="e2", problems=problems) as keeper:
        await keeper.keep(one())
        assert "no reading is lost: the outbox's file was damaged" in problems.texts()[0]
        await trimmed(keeper, 1)
        assert problems.texts() == ()


async def test_epochs_that_only_the_note_knows_can_be_told_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is found damaged after it was opened: by then the note is of the run before."""
    path, begin, broken = tmp_path / "outbox.db", DiskOutbox.begin, [True]
    await run_and_be_killed(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM epochs")
        connection.execute("DELETE FROM readings")
        connection.execute("INSERT INTO epochs (id, name, boot) VALUES (9, 'e9', 'b')")
        connection.commit()

    def damaged(outbox: DiskOutbox, *more: object) -> None:
        if broken:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            broken.pop()
            raise error
        begin(outbox, *more)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(DiskOutbox, "begin", damaged)
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        assert await told_by(keeper) == [gap("e1", 1, reserved_after(KEPT))]
        assert await numbers(keeper) == [1]
