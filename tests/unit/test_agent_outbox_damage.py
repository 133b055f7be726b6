"""An outbox whose file is gone, emptied or damaged while no agent used it, or that is not ours at all."""

import asyncio
import errno
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.notes import EpochNotes, reserved_after
from iotxmpp.agent.outbox.room import Bounds
from iotxmpp.agent.outbox.rows import Row, place_of
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.presence import Problems
from iotxmpp.delivery import GapReason
from tests.unit.agent_house import until
from tests.unit.outbox_house import numbers, one, opened, told_by, trimmed
from tests.unit.outbox_runs import KEPT, gap, run_and_be_killed, run_once


def delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def empty(path: Path) -> None:
    delete(path)
    path.touch()


def empty_beside_its_log(path: Path) -> None:
    path.write_bytes(b"")


def leave_one_byte(path: Path) -> None:
    delete(path)
    path.write_bytes(b"\0")


def leave_new_tables(path: Path) -> None:
    """As an agent does that is killed before it notes the loss in its new file."""
    delete(path)
    DiskOutbox(path).close()


GONE = [delete, empty, empty_beside_its_log, leave_one_byte, leave_new_tables]


@pytest.mark.parametrize("vanish", GONE)
async def test_what_was_in_a_file_that_is_gone_is_told_once(
    tmp_path: Path, vanish: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path, acked=2)
    vanish(path)
    with caplog.at_level(logging.WARNING):
        async with opened(path, epoch="e2", problems=problems) as keeper:
            await keeper.keep(one())
            assert (keeper.state, await numbers(keeper)) == ("disk", [1])
            assert await told_by(keeper) == [gap("e1", 3, KEPT)]
    assert problems.texts() == ("up to 3 readings may be lost: the outbox's file was gone or empty",)
    assert f"outbox {path} is begun anew; told as lost: e1 3 to 5" in caplog.text
    assert problems.texts()[0] in caplog.text
    again = Problems()
    async with opened(path, epoch="e3", problems=again) as keeper:
        assert await told_by(keeper) == [gap("e1", 3, KEPT)]
        assert keeper.acknowledge({"e1": KEPT, "e2": 1})
    async with opened(path, epoch="e4", problems=again) as keeper:
        assert (await told_by(keeper), await numbers(keeper), again.texts()) == ([], [], ())


@pytest.mark.parametrize("vanish", GONE)
async def test_after_a_kill_the_note_names_a_few_numbers_more(
    tmp_path: Path, vanish: Callable[[Path], None]
) -> None:
    path = tmp_path / "outbox.db"
    await run_and_be_killed(path)
    vanish(path)
    async with opened(path, epoch="e2") as keeper:
        assert await told_by(keeper) == [gap("e1", 1, reserved_after(KEPT))]


async def test_a_first_start_tells_of_no_loss(tmp_path: Path) -> None:
    problems = Problems()
    async with opened(tmp_path / "outbox.db", problems=problems) as keeper:
        await keeper.keep(one())
        assert (await told_by(keeper), problems.texts()) == ([], ())


@pytest.mark.parametrize("vanish", GONE)
async def test_a_file_that_had_nothing_left_is_not_missed(
    tmp_path: Path, vanish: Callable[[Path], None]
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path, acked=KEPT)
    vanish(path)
    async with opened(path, epoch="e2", problems=problems) as keeper:
        assert (await told_by(keeper), problems.texts()) == ([], ())


@pytest.mark.parametrize("run", [run_once, run_and_be_killed])
async def test_an_outbox_from_which_all_was_acknowledged_has_lost_nothing(
    tmp_path: Path, run: Callable[..., asyncio.Future[None]]
) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run(path, acked=KEPT)
    for epoch in ("e2", "e3"):
        async with opened(path, epoch=epoch, problems=problems) as keeper:
            assert (await told_by(keeper), problems.texts()) == ([], ())


async def test_a_note_that_nobody_can_read_beside_no_outbox_is_a_problem(tmp_path: Path) -> None:
    path, problems = tmp_path / "outbox.db", Problems()
    await run_once(path)
    delete(path)
    EpochNotes(path).path.write_bytes(b"{")
    async with opened(path, epoch="e2", problems=problems) as keeper:
        await keeper.keep(one())
        await trimmed(keeper, 1)
        assert await told_by(keeper) == [gap("e1", 1, KEPT)]
        assert "5 readings or more may be lost: the outbox's file was gone" in problems.texts()[0]


class BadDisk:
    """A disk that fails as long as a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails = False
        write, start, disk = DiskOutbox.write, DiskOutbox.__init__, self

        def checked(outbox: DiskOutbox, rows: Sequence[Row] = (), **more: object) -> None:
            disk.check()
            write(outbox, rows, **more)  # type: ignore[arg-type]  # passed on as they came

        def started(outbox: DiskOutbox, path: Path, limits: Limits | None = None) -> None:
            disk.check()
            start(outbox, path, limits)

        monkeypatch.setattr(DiskOutbox, "write", checked)
        monkeypatch.setattr(DiskOutbox, "__init__", started)

    def check(self) -> None:
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("vanish", [delete, empty])
async def test_a_file_that_vanishes_while_the_disk_fails_is_told_without_what_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanish: Callable[[Path], None]
) -> None:
    path, problems, disk = tmp_path / "outbox.db", Problems(), BadDisk(monkeypatch)
    await run_once(path)
    async with opened(path, epoch="e2", problems=problems) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(3)))
        disk.fails = True
        await keeper.keep(one(), urgent=True)
        await asyncio.sleep(0.05)
        assert keeper.state == "memory"
        vanish(path)
        disk.fails = False
        await until(lambda: keeper.state == "disk" and keeper.stock.held == 1)
        await keeper.keep(one())
        assert await numbers(keeper) == [4, 5]
        assert await told_by(keeper) == [gap("e1", 1, KEPT), gap("e2", 1, 3)]
        assert "up to 8 readings may be lost" in problems.texts()[0]
        keeper.acknowledge({"e1": KEPT})
        await trimmed(keeper, 3)
        assert problems.texts() == ()
        assert (await told_by(keeper), await numbers(keeper)) == ([], [4, 5])


async def test_a_loss_is_noted_as_a_whole_or_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lose = tmp_path / "outbox.db", Bounds.lose
    for epoch in ("e1", "e2"):
        await run_once(path, epoch=epoch)
    delete(path)

    def once(bounds: Bounds, first: int, last: int, reason: GapReason) -> None:
        if first >= place_of(2, 0):
            raise sqlite3.OperationalError("database or disk is full")
        lose(bounds, first, last, reason)

    with monkeypatch.context() as patch:
        patch.setattr(Bounds, "lose", once)
        async with opened(path, epoch="e3") as keeper:
            assert keeper.state == "memory"
    async with opened(path, epoch="e4") as keeper:
        assert await told_by(keeper) == [gap("e1", 1, KEPT), gap("e2", 1, KEPT)]
