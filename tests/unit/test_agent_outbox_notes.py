"""What the outbox notes beside its file, and what it tells of a loss from these notes."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.agent.outbox.notes import EpochNotes, reserved_after
from iotxmpp.agent.outbox.rows import Epoch, Row, place_of, seq_of
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.delivery import Gap
from iotxmpp.errors import StoreError
from tests.unit.outbox_house import losses_of, numbers, one, opened, told_by


def note_inverted(path: Path, *, first: int = 10, last: int = 9) -> None:
    with sqlite3.connect(path) as other:
        other.execute(
            "INSERT INTO losses (first, last, reason) VALUES (?, ?, 'corrupt')",
            (place_of(1, first), place_of(1, last)),
        )
    other.close()


async def test_an_inverted_loss_on_disk_is_forgotten_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
    note_inverted(path)
    async with opened(path, epoch="e2") as keeper:
        assert (await losses_of(keeper), await numbers(keeper)) == ([], [1])


async def test_an_inverted_loss_does_not_end_the_publishing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
        note_inverted(path)
        await keeper._outbox.lose(place_of(1, 2), place_of(1, 3), "full")
        note_inverted(path, first=0, last=5)
        await keeper._outbox.lose(place_of(1, 8), place_of(1, 7), "full")
        await keeper.bury(place_of(1, 1), place_of(1, 1), "bad")
        note_inverted(path)
        await keeper._outbox.set_offset("none", 0.0)  # it looks at the file anew
        told = await told_by(keeper)
        assert [(gap.reason, gap.lost) for gap in told] == [
            ("full", ((2, 3),)),
            ("dead-letter", ((1, 1),)),
        ]


def spoil(path: Path) -> None:
    """Damages a file that nobody uses."""
    path.write_bytes(b"no database" * 1000)


async def test_damage_while_no_agent_runs_is_told_from_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(5)))
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
    spoil(path)
    for epoch in ("e3", "e4"):  # the loss is on disk, until it is acknowledged
        async with opened(path, epoch=epoch) as keeper:
            assert await told_by(keeper) == [
                Gap(epoch="e1", reason="corrupt", lost=((1, 5),)),
                Gap(epoch="e2", reason="corrupt", lost=((1, 1),)),
            ]
    async with opened(path, epoch="e5") as keeper:
        assert keeper.acknowledge({"e1": 5, "e2": 1})
    async with opened(path, epoch="e6") as keeper:
        assert await told_by(keeper) == []


async def test_the_numbers_of_the_running_agent_are_not_lost_with_what_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
    spoil(path)
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        assert await numbers(keeper) == [1]
        assert [gap.epoch for gap in await told_by(keeper)] == ["e1"]


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"{",
        b'{"epochs": [{"id": 1}]}',
        b'{"epochs": [{"id":1,"name":"<","boot":"b","first":1,"last":2}]}',
    ],
)
async def test_notes_that_cannot_be_read_say_nothing(tmp_path: Path, notes: bytes) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as keeper:
        await keeper.keep(one())
    spoil(path)
    path.with_name("outbox.db.epoch").write_bytes(notes)
    async with opened(path, epoch="e2") as keeper:
        await keeper.keep(one())
        told = [Gap(epoch="e1", reason="corrupt", lost=((1, 1),))]  # the mark knows that much
        assert (keeper.state, await told_by(keeper)) == ("disk", told)


async def test_notes_that_cannot_be_written_are_no_harm(tmp_path: Path) -> None:
    (tmp_path / "outbox.db.epoch").mkdir()
    async with opened(tmp_path / "outbox.db") as keeper:
        await keeper.keep(one())
        assert keeper.state == "disk"


async def test_notes_are_written_before_the_readings_and_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, noted, calls, write = tmp_path / "outbox.db", [0], [], EpochNotes.write
    write_rows = DiskOutbox.write

    def counted(notes: EpochNotes, epochs: Sequence[Epoch], running: str | None) -> bool:
        noted.append(max(seq_of(each.last) for each in epochs))
        return write(notes, epochs, running)

    def checked(outbox: DiskOutbox, rows: Sequence[Row] = (), **more: Any) -> None:  # noqa: ANN401  # passed on
        if rows:
            calls.append((seq_of(rows[-1].place), noted[-1]))
        write_rows(outbox, rows, **more)

    monkeypatch.setattr(EpochNotes, "write", counted)
    monkeypatch.setattr(DiskOutbox, "write", checked)
    async with opened(path) as keeper:
        for size in (1, 20, 500, *(50 for _ in range(200)), 3000):
            for number in range(size):
                keeper.take(one(number))
            await keeper.flush()
    assert calls[-1][0] == 13_521
    assert all(last <= upto <= reserved_after(last) for last, upto in calls)
    assert len(noted) < 50
    assert noted[-1] == 13_521  # an orderly end leaves the exact number


def test_numbers_are_noted_ahead_by_a_part_of_what_was_given() -> None:
    ahead = {seq: reserved_after(seq) - seq for seq in (0, 1, 100, 800, 8_000, 1_000_000)}
    assert ahead == {0: 0, 1: 16, 100: 16, 800: 100, 8_000: 1000, 1_000_000: 1000}


async def test_a_file_of_another_version_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    DiskOutbox(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 3")
    other.close()
    with pytest.raises(StoreError, match="version 3"):
        async with opened(path):
            pass
