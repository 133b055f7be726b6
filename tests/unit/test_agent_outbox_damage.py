"""An outbox whose file is gone, emptied or damaged while no agent used it, or that is not ours at all."""

import asyncio
import errno
import logging
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from iotxmpp.agent.outbox.notes import EpochNotes, reserved_after
from iotxmpp.agent.outbox.room import Bounds
from iotxmpp.agent.outbox.rows import FIRST, LAST, Row, place_of
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.outbox.schema import APPLICATION, NEWER, VERSION
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.presence import Problems
from iotxmpp.delivery import Gap, GapReason
from iotxmpp.errors import StoreError
from tests.unit.agent_house import until
from tests.unit.outbox_house import losses_of, numbers, one, opened, set_aside, told_by, trimmed

KEPT = 5


def gap(epoch: str, first: int, last: int) -> Gap:
    return Gap(epoch=epoch, reason="corrupt", lost=((first, last),))


async def run_once(path: Path, *, acked: int = 0, readings: int = KEPT, epoch: str = "e1") -> None:
    """One run of an agent that ends in order."""
    async with opened(path, epoch=epoch) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(readings)))
        if acked:
            await trimmed(keeper, acked)


async def run_and_be_killed(path: Path, *, acked: int = 0, readings: int = KEPT) -> None:
    """Leaves what is on disk while an agent runs."""
    elsewhere = path.with_name("running") / path.name
    async with opened(elsewhere) as keeper:
        await asyncio.gather(*(keeper.keep(one(n)) for n in range(readings)))
        if acked:
            await trimmed(keeper, acked)
        for each in elsewhere.parent.iterdir():
            shutil.copy(each, path.parent / each.name)
    shutil.rmtree(elsewhere.parent)


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


# The header.


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
    monkeypatch.setattr("iotxmpp.agent.outbox.damage.time.time", lambda: 1_790_000_000.0)
    path = tmp_path / "outbox.db"
    for number in range(3):
        path.write_bytes(b"no database %d" % number * 100)
        async with opened(path, epoch=f"e{number}") as keeper:
            await keeper.keep(one())
    assert sorted(each.read_bytes()[:13] for each in set_aside(tmp_path)) == [
        b"no database %d" % number for number in range(3)
    ]


# What is told, and for how long.


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


# What it costs.


def written() -> int:
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


async def test_with_its_notes_a_reading_costs_less_than_600_bytes_of_writing(tmp_path: Path) -> None:
    """A hundred readings a second for five minutes, each commit and each trim as the keeper makes them."""
    before, seq = written(), 0
    outbox = SafeOutbox(tmp_path / "outbox.db", limits=Limits(), memory_limits=Limits(), problems=Problems())
    await outbox.open("e1", "b1")
    for half_second in range(600):
        batch = [
            Row(place_of(1, seq + n), "level", "m", 1.79e9 + (seq + n) / 100, "u", n / 7)
            for n in range(1, 51)
        ]
        seq += 50
        trims = [(place_of(1, 0), place_of(1, seq - 100))] if half_second % 4 == 3 else []
        await outbox.write(batch, trims=trims, now=1.79e9)
    await outbox.close()
    assert (written() - before) / seq < 600
