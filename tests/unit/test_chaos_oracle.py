"""The judge of the chaos harness, on ledgers and stores made up for it: it finds every kind of wrong."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from iotxmpp.controller.store import schema
from tests.chaos.ledger import KINDS, Ledger, Planned, number_of, read, value_of
from tests.chaos.oracle import MOST_FAULTS, Lost, Stored, Verdict, judge, judge_device, stored_counts

CHANNELS = tuple(KINDS)
START = 1_800_000_000.0


def plan(number: int) -> Planned:
    return Planned(number=number, channel=CHANNELS[number % 4], time=START + number / 10)


def write(
    path: Path, promised: Iterable[int], *, planned: Iterable[int] = (), refused: Iterable[int] = ()
) -> None:
    """One run of a device: all are planned together, in order."""
    promised, refused = set(promised), set(refused)
    ledger = Ledger(path)
    ledger.plan([plan(number) for number in sorted({*promised, *planned, *refused})])
    for number in sorted(promised):
        ledger.promised(number)
    for number in sorted(refused):
        ledger.refused(number)
    ledger.close()


def rows(epoch: str, numbers: Iterable[int]) -> list[Stored]:
    """The rows of readings that were all accepted, as a right store has them."""
    return [row(epoch, seq, number) for seq, number in enumerate(numbers, 1)]


def row(epoch: str, seq: int, number: int) -> Stored:
    made = plan(number)
    return Stored(
        epoch=epoch,
        seq=seq,
        channel=made.channel,
        kind=KINDS[made.channel],
        value=value_of(made.channel, number),
        time=made.time + 1e-7,
    )


def lost(first: int, last: int, epoch: str = "aa") -> Lost:
    return Lost(epoch=epoch, first=first, last=last, reason="full")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two runs: readings 1 to 5 are promised, 6 is unknown; then 7 to 9 are promised."""
    path = tmp_path / "ledger"
    write(path, range(1, 6), planned=[6])
    write(path, range(7, 10))
    return path


def found(
    path: Path, stored: Iterable[Stored], gaps: Iterable[Lost] = (), *, may_lose: bool = False
) -> Verdict:
    return judge_device("d", read(path), stored, list(gaps), may_lose=may_lose)


RIGHT = rows("aa", range(1, 6)) + rows("bb", range(7, 10))


def test_a_store_that_equals_the_ledger_is_right(path: Path) -> None:
    verdict = found(path, RIGHT)
    assert verdict.faults == []
    assert (verdict.promised, verdict.stored, verdict.unknown, verdict.unknown_stored) == (8, 8, 1, 0)
    assert str(verdict).startswith("RIGHT: 8 promised, 8 stored")


def test_an_unknown_reading_may_be_stored(path: Path) -> None:
    verdict = found(path, rows("aa", range(1, 7)) + rows("bb", range(7, 10)))
    assert verdict.faults == []
    assert verdict.unknown_stored == 1


def test_a_promised_reading_that_is_missing_is_found(path: Path) -> None:
    for missing in range(len(RIGHT)):
        verdict = found(path, RIGHT[:missing] + RIGHT[missing + 1 :])
        assert len(verdict.faults) == 1
        assert "1 promised readings are not stored" in verdict.faults[0]


def test_a_missing_reading_that_was_declared_lost_is_right_where_that_may_be(path: Path) -> None:
    stored = RIGHT[:1] + RIGHT[3:]
    verdict = found(path, stored, [lost(2, 3)], may_lose=True)
    assert verdict.faults == []
    assert verdict.lost == 2
    assert found(path, stored, [lost(2, 3)]).faults
    assert found(path, stored, [lost(2, 2)], may_lose=True).faults
    assert found(path, stored, [lost(2, 3, "bb")], may_lose=True).faults


def test_a_run_that_is_lost_whole_is_right_where_that_may_be(path: Path) -> None:
    stored = rows("bb", range(7, 10))
    assert found(path, stored, [lost(1, 6)], may_lose=True).faults == []
    assert found(path, stored, [lost(1, 4)], may_lose=True).faults


def test_a_reading_that_is_stored_and_declared_lost_is_found(path: Path) -> None:
    verdict = found(path, RIGHT, [lost(5, 5)], may_lose=True)
    assert "stored and declared lost, such as aa.5" in verdict.faults[0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([*RIGHT, row("bb", 4, 9)], "stored twice"),
        ([*RIGHT, row("cc", 1, 2)], "stored twice"),
        ([*RIGHT, row("bb", 4, 10)], "is in no ledger"),
        ([*RIGHT[:7], replace(RIGHT[7], value=9.5)], "is in no ledger"),
        ([*RIGHT[:7], replace(RIGHT[7], time=START)], "is of"),
        ([*RIGHT[:7], replace(RIGHT[7], channel="nothing")], "is in no ledger"),
        ([*RIGHT[:4], replace(RIGHT[4], kind="f"), *RIGHT[5:]], "is a f of"),
        ([row("aa", 2, 1), row("aa", 1, 2), *RIGHT[2:]], "is number 1 of its run"),
        ([*RIGHT[:5], row("aa", 6, 7), *RIGHT[6:]], "in the epoch of another run"),
        ([*RIGHT[:4], row("cc", 5, 5), *RIGHT[5:]], "has several epochs"),
    ],
)
def test_every_other_wrong_is_found(path: Path, wrong: list[Stored], words: str) -> None:
    assert any(words in fault for fault in found(path, wrong).faults)


def test_a_refused_reading_takes_no_number_and_must_not_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    write(path, [1, 3], refused=[2])
    assert found(path, rows("aa", [1, 3])).faults == []
    assert "was refused" in found(path, [*rows("aa", [1, 3]), row("aa", 3, 2)]).faults[0]


def test_a_verdict_names_some_faults_and_counts_the_rest(path: Path) -> None:
    strangers = [row("aa", seq, 100 + seq) for seq in range(40)]
    verdict = found(path, [*RIGHT, *strangers])
    assert len(verdict.faults) == MOST_FAULTS + 1
    assert verdict.faults[-1] == "d: and 20 more"


def test_a_torn_line_is_mended_and_its_reading_was_never_published(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    write(path, [1, 2])
    with path.open("a") as file:
        file.write("P 3 count 18")
    assert list(read(path)[0].entries) == [1, 2]
    ledger = Ledger(path)
    assert ledger.next == 3
    ledger.plan([plan(3)])
    ledger.close()
    assert [list(run.entries) for run in read(path)] == [[1, 2], [3]]
    assert read(path)[1].entries[3].state == "planned"


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("hello\n")
    with pytest.raises(ValueError, match="no line of a ledger"):
        read(path)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_value_tells_its_number(channel: str) -> None:
    assert number_of(channel, value_of(channel, 1_000_000)) == 1_000_000
    assert number_of(channel, "no note") is None
    assert number_of(channel, 0.5) is None


@pytest.fixture
def store(tmp_path: Path, path: Path) -> str:
    """A store that is right for the ledger of `path`."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    engine = sa.create_engine(url)
    schema.tables.create_all(engine)
    with engine.begin() as connection:
        add = partial(_insert, connection)
        add("devices", id=1, name="d")
        for index, channel in enumerate(CHANNELS):
            add("channels", id=index, device_id=1, name=channel, unit="")
        seen = {"version": 1, "first_seen": START, "last_seen": START}
        add("epochs", id=1, device_id=1, epoch="aa", contiguous=5, **seen)
        add("epochs", id=2, device_id=1, epoch="bb", contiguous=3, **seen)
        for stored in RIGHT:
            text = stored.kind == "s"
            add(
                "readings",
                epoch_id=1 if stored.epoch == "aa" else 2,
                seq=stored.seq,
                channel_id=CHANNELS.index(stored.channel),
                kind=stored.kind,
                number=None if text else stored.value,
                text=stored.value if text else None,
                time=stored.time,
                received=START,
                historical=False,
                clock="s",
            )
    engine.dispose()
    return url


def _insert(connection: sa.Connection, table: str, **values: object) -> None:
    connection.execute(schema.tables.tables[f"iotxmpp_{table}"].insert(), values)


def change(url: str, statement: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def test_a_right_store_is_read_and_found_right(store: str, path: Path) -> None:
    verdict = judge({"d": path}, store)
    assert verdict.faults == []
    assert verdict.stored == 8
    assert stored_counts(store) == {"d": 8}


def test_a_declared_loss_is_read(store: str, path: Path) -> None:
    change(store, "DELETE FROM iotxmpp_readings WHERE epoch_id = 2 AND seq = 2")
    assert len(judge({"d": path}, store).faults) == 1
    change(store, "INSERT INTO iotxmpp_gaps VALUES (2, 2, 2, 'full', 0)")
    assert judge({"d": path}, store, may_lose=["d"]).faults == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE iotxmpp_readings SET seq = 9 WHERE epoch_id = 2 AND seq = 3", "is number 3 of its run"),
        ("INSERT INTO iotxmpp_islands VALUES (2, 5, 6)", "has 5 to 6 beyond its cursor, which is at 3"),
        ("UPDATE iotxmpp_epochs SET contiguous = 2 WHERE id = 2", "cursor at 2, and readings up to 3"),
        ("INSERT INTO iotxmpp_devices VALUES (2, 'guest')", "guest: is in the store"),
        (
            "INSERT INTO iotxmpp_rejections VALUES (1, 0, 'd', 'n', 'i', NULL, 'senml', 'no', 'x')",
            "an item was rejected: senml: no",
        ),
    ],
)
def test_a_wrong_store_is_found_wrong(store: str, path: Path, statement: str, words: str) -> None:
    change(store, statement)
    assert any(words in fault for fault in judge({"d": path}, store).faults)


def test_where_there_is_no_store_nothing_is_stored(tmp_path: Path) -> None:
    assert stored_counts(f"sqlite:///{tmp_path / 'none.db'}") == {}
