"""What the outbox costs: bytes written for a reading, and memory for a backlog."""

import os
from collections.abc import Iterator
from pathlib import Path

from iotxmpp.agent.outbox.rows import FIRST, LAST, Epoch, Row, place_of
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox
from iotxmpp.agent.presence import Problems
from tests.unit.outbox_disk import NOW

READINGS = 30_000
"""A hundred a second for five minutes."""


def written() -> int:
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def half_seconds() -> Iterator[tuple[list[Row], list[tuple[int, int]]]]:
    """What is committed twice a second, and what is trimmed with it every two seconds."""
    for turn in range(READINGS // 50):
        seq = turn * 50
        batch = [
            Row(place_of(1, seq + n), "level", "m", NOW + (seq + n) / 100, "u", n / 7) for n in range(1, 51)
        ]
        yield batch, [(place_of(1, 0), place_of(1, seq - 50))] if turn % 4 == 3 else []


def test_a_reading_costs_less_than_600_bytes_of_writing(tmp_path: Path) -> None:
    """A hundred readings a second for five minutes, each commit and each trim as the keeper makes them."""
    before = written()
    outbox = DiskOutbox(tmp_path / "outbox.db")
    outbox.begin(Epoch(id=1, name="e1", boot="b1"))
    for batch, trims in half_seconds():
        outbox.write(batch, trims=trims, now=NOW)
    outbox.close()
    assert (written() - before) / READINGS < 600


async def test_with_its_notes_a_reading_costs_less_than_600_bytes_of_writing(tmp_path: Path) -> None:
    """The same through what notes every commit beside the file."""
    before = written()
    outbox = SafeOutbox(tmp_path / "outbox.db", limits=Limits(), memory_limits=Limits(), problems=Problems())
    await outbox.open("e1", "b1")
    for batch, trims in half_seconds():
        await outbox.write(batch, trims=trims, now=NOW)
    await outbox.close()
    assert (written() - before) / READINGS < 600


def resident() -> int:
    """The process's memory, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def test_memory_does_not_grow_with_the_backlog(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path / "outbox.db")
    outbox.begin(Epoch(id=1, name="e1", boot="b1"))
    write_many(outbox, 1, 5_000)
    before = resident()
    write_many(outbox, 5_001, 200_000)
    outbox.close()
    outbox = DiskOutbox(tmp_path / "outbox.db")
    place, pages = FIRST, 0
    while rows := outbox.page(place, LAST, 500):
        place, pages = rows[-1].place + 1, pages + 1
    assert (outbox.stock.held, pages) == (200_000, 400)
    outbox.close()
    assert resident() - before < 6 * 2**20


def write_many(outbox: DiskOutbox, first: int, last: int) -> None:
    for start in range(first, last + 1, 5_000):
        outbox.write(
            [
                Row(place_of(1, seq), "level", "m", NOW + seq, "s", seq / 7)
                for seq in range(start, start + 5_000)
            ]
        )
