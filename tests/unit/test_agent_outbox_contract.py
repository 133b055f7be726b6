"""What every outbox promises: the same suite for the one on disk and the one in memory."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.agent.outbox.inserting import AT_ONCE
from iotxmpp.agent.outbox.protocol import Outbox
from iotxmpp.agent.outbox.rows import FIRST, LAST, Epoch, Loss, Row, place_of, seq_of, size_of
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.outbox.store import DiskOutbox, MemoryOutbox
from iotxmpp.agent.outbox.tables import MOST_DEAD, SqlOutbox
from iotxmpp.readings import Value

NOW = 1_790_000_000.0
DAY = 86400.0

Make = Callable[..., SqlOutbox]


def row(
    seq: int, *, epoch: int = 1, value: Value = 1.5, channel: str = "level", at: float | None = None
) -> Row:
    return Row(place_of(epoch, seq), channel, "m", NOW + seq if at is None else at, "s", value)


def rows(first: int, last: int, *, epoch: int = 1, channel: str = "level") -> list[Row]:
    return [row(seq, epoch=epoch, channel=channel) for seq in range(first, last + 1)]


def numbers(outbox: Outbox, most: int = 10_000) -> list[int]:
    return [seq_of(each.place) for each in outbox.page(FIRST, LAST, most)]


def lost(outbox: Outbox) -> list[tuple[int, int, str]]:
    return sorted((seq_of(each.first), seq_of(each.last), each.reason) for each in outbox.losses(0, 10_000))


def stuck(outbox: Outbox) -> bool:
    return outbox.stock.stuck


@pytest.fixture(params=["disk", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    opened: list[SqlOutbox] = []

    def outbox(**limits: Any) -> SqlOutbox:  # noqa: ANN401  # a limit's own fields
        bounds = Limits(**limits)
        if request.param == "disk":
            path = tmp_path / f"outbox-{len(opened)}.db"
            opened.append(DiskOutbox(path, bounds))
        else:
            opened.append(MemoryOutbox(bounds))
        opened[-1].begin(Epoch(id=1, name="e1", boot="b1"))
        return opened[-1]

    yield outbox
    for each in opened:
        each.close()


def test_what_is_written_is_read_by_pages_in_order(make: Make) -> None:
    outbox: Outbox = make()
    outbox.write(rows(1, 5))
    outbox.write(rows(6, 8))
    assert numbers(outbox) == list(range(1, 9))
    assert [seq_of(each.place) for each in outbox.page(place_of(1, 3), place_of(1, 7), 3)] == [3, 4, 5]
    assert outbox.stock.held == 8
    assert outbox.stock.oldest == row(1)


@pytest.mark.parametrize("count", [AT_ONCE - 1, AT_ONCE, 3 * AT_ONCE, 3 * AT_ONCE + 1])
def test_what_is_there_already_stays_as_it_is_among_many(make: Make, count: int) -> None:
    outbox = make()
    outbox.write([row(count // 2, value=7.0)])
    outbox.write(rows(1, count))
    found = outbox.page(FIRST, LAST, count + 1)
    assert found == [row(n, value=7.0 if n == count // 2 else 1.5) for n in range(1, count + 1)]
    assert (outbox.stock.held, outbox.stock.bytes) == (count, count * size_of(1.5))


def test_readings_of_several_runs_are_kept_and_read_at_once(make: Make) -> None:
    outbox = make()
    outbox.begin(Epoch(id=2, name="e2", boot="b1"))
    outbox.begin(Epoch(id=3, name="e3", boot="b1"))
    written = [*rows(1, 30), *rows(1, 30, epoch=2), *rows(1, 30, epoch=3)]
    outbox.absorb(written, [], [])
    assert outbox.page(FIRST, LAST, 100) == written


@pytest.mark.parametrize("value", [1, 1.0, -(2**63), 2**63 - 1, True, False, "", "naïve 😀", 1e300])
def test_a_reading_comes_back_as_it_was(make: Make, value: Value) -> None:
    outbox = make()
    written = [
        Row(place_of(1, 1), "a/b", None, NOW + 0.123456, "u", value),
        Row(place_of(1, 2), "a/b", "Cel", 17.25, "r", value),
    ]
    outbox.write(written)
    found = outbox.page(FIRST, LAST, 10)
    assert found == written
    assert [type(each.value) for each in found] == [type(value)] * 2


def test_what_is_trimmed_is_gone_with_its_losses(make: Make) -> None:
    outbox = make()
    outbox.write(rows(1, 10))
    outbox.lose(place_of(1, 11), place_of(1, 20), "full")
    outbox.write(trims=[(place_of(1, 0), place_of(1, 4))])
    assert numbers(outbox) == [5, 6, 7, 8, 9, 10]
    assert (outbox.stock.held, outbox.stock.bytes) == (6, 6 * size_of(1.5))
    outbox.write(trims=[(place_of(1, 0), place_of(1, 15))])
    assert numbers(outbox) == []
    assert lost(outbox) == [(16, 20, "full")]
    outbox.write(trims=[(place_of(1, 0), place_of(1, 20))])
    assert lost(outbox) == []
    assert outbox.stock.oldest is None


def test_trimming_one_epoch_leaves_the_others(make: Make) -> None:
    outbox = make()
    outbox.begin(Epoch(id=2, name="e2", boot="b1"))
    outbox.write(rows(1, 3))
    outbox.write(rows(1, 3, epoch=2))
    outbox.write(trims=[(place_of(2, 0), place_of(2, 99))])
    assert [each.place for each in outbox.page(FIRST, LAST, 9)] == [place_of(1, n) for n in (1, 2, 3)]


def test_epochs_are_known_as_long_as_something_of_them_is_held(make: Make) -> None:
    outbox = make()
    outbox.write(rows(4, 6))
    outbox.lose(place_of(1, 7), place_of(1, 9), "age")
    outbox.begin(Epoch(id=outbox.next_epoch(), name="e2", boot="b1"))
    assert outbox.epochs() == [
        Epoch(id=1, name="e1", boot="b1", first=place_of(1, 4), last=place_of(1, 9)),
        Epoch(id=2, name="e2", boot="b1"),
    ]
    outbox.set_offset("b1", 5.0)
    assert {each.offset for each in outbox.epochs()} == {5.0}
    outbox.write(trims=[(place_of(1, 0), place_of(1, 9))])
    assert [each.name for each in outbox.epochs()] == ["e2"]


def test_the_same_row_twice_is_kept_once(make: Make) -> None:
    outbox = make()
    outbox.write(rows(1, 3))
    outbox.write(rows(2, 5))
    assert numbers(outbox) == [1, 2, 3, 4, 5]
    assert outbox.stock.held == 5


def test_what_is_partly_there_already_is_counted_once(make: Make) -> None:
    outbox = make()
    outbox.write([*rows(1, 2), row(3, value="text")])
    outbox.write([row(2), row(3, value="text"), row(4, value="text"), row(5)])
    assert numbers(outbox) == [1, 2, 3, 4, 5]
    assert (outbox.stock.held, outbox.stock.bytes) == (5, 3 * size_of(1.0) + 2 * size_of("text"))


def test_the_oldest_is_known_whatever_comes_and_goes(make: Make) -> None:
    outbox = make()
    oldest = [outbox.stock.oldest]
    for first, trimmed in ((1, 0), (6, 0), (11, 7), (16, 20), (21, 0)):
        outbox.write(rows(first, first + 4))
        if trimmed:
            outbox.write(trims=[(place_of(1, 0), place_of(1, trimmed))])
        oldest.append(outbox.stock.oldest)
    assert oldest == [None, row(1), row(1), row(8), None, row(21)]


def test_a_failed_call_changes_nothing(make: Make) -> None:
    outbox = make(bytes=4096)
    outbox.write(rows(1, 100))
    before = outbox.stock
    broken = Row(place_of(1, 200), "other", None, NOW, "s", 2**70)
    with pytest.raises(OverflowError):
        outbox.write([*rows(101, 150), broken], trims=[(place_of(1, 0), place_of(1, 9))])
    assert outbox.stock == before
    assert numbers(outbox) == list(range(1, 101))
    assert lost(outbox) == []
    outbox.write([row(101, channel="other")])
    assert outbox.page(place_of(1, 101), LAST, 1)[0].channel == "other"


# Bounds.


def test_the_oldest_are_dropped_and_noted_as_one_loss(make: Make) -> None:
    outbox = make(bytes=36 * 200)
    for first in range(1, 501, 50):
        outbox.write(rows(first, first + 49))
    held = numbers(outbox)
    assert held[-1] == 500
    assert 190 <= len(held) <= 200
    assert lost(outbox) == [(1, held[0] - 1, "full")]
    assert outbox.stock.dropped == held[0] - 1
    assert outbox.stock.bytes <= 36 * 200
    assert not outbox.stock.stuck


def test_the_readings_of_one_sample_are_dropped_together(make: Make) -> None:
    outbox = make(bytes=36 * 200)
    outbox.write([row(seq, at=NOW + seq // 10) for seq in range(1, 201)])
    outbox.write([row(201)])
    assert numbers(outbox)[0] % 10 == 0


def test_long_texts_count_by_their_bytes(make: Make) -> None:
    outbox = make(bytes=5000)
    outbox.write([row(1, value="ä" * 1000)])
    assert outbox.stock.bytes == 2036
    outbox.write([row(2, value="ä" * 1000), row(3, value="b" * 1000)])
    assert numbers(outbox) == [2, 3]


def test_thinning_keeps_every_second_of_the_older_half_of_its_channel(make: Make) -> None:
    outbox = make(bytes=36 * 200, channels={"thin": "thin"})
    outbox.write([row(seq, channel="thin" if seq % 2 else "plain") for seq in range(1, 201)])
    outbox.write([row(201)])
    gone = sorted(set(range(1, 201)) - set(numbers(outbox)))
    assert gone == list(range(3, 101, 4))
    assert [first for first, last, _ in lost(outbox) if first == last] == gone
    assert outbox.stock.dropped == len(gone)


def test_thinning_goes_on_until_it_fits(make: Make) -> None:
    outbox = make(bytes=36 * 200, when_full="thin")
    for first in range(1, 2001, 20):
        outbox.write(rows(first, first + 19))
        assert outbox.stock.bytes <= 36 * 200
    held = numbers(outbox)
    assert held[-20:] == list(range(1981, 2001))
    assert held[0] < 100
    covered = {n for first, last, _ in lost(outbox) for n in range(first, last + 1)}
    assert sorted(covered | set(held)) == list(range(1, 2001))
    assert not covered & set(held)


def test_what_is_not_to_be_dropped_stays_and_the_outbox_is_stuck(make: Make) -> None:
    outbox = make(bytes=36 * 200, channels={"safe": "reject"})
    outbox.write(rows(1, 150, channel="safe"))
    outbox.write(rows(151, 200))
    outbox.write(rows(201, 230))
    assert set(range(1, 151)) <= set(numbers(outbox))
    assert stuck(outbox) is False
    outbox.write(rows(231, 330, channel="safe"))
    assert stuck(outbox) is True
    assert set(range(231, 331)) <= set(numbers(outbox))
    outbox.write(trims=[(place_of(1, 0), place_of(1, 330))])
    assert stuck(outbox) is False


def test_what_is_too_old_is_dropped(make: Make) -> None:
    outbox = make(age=7 * DAY)
    for day in range(10):
        outbox.write(rows(day * 10 + 1, day * 10 + 10), now=NOW + day * DAY)
    # The age is told in steps: what was kept on the second day may be as young as the third day's first.
    assert numbers(outbox) == list(range(11, 101))
    assert lost(outbox) == [(1, 10, "age")]
    outbox.write(now=NOW + 30 * DAY)
    assert len(numbers(outbox)) <= 10
    assert outbox.stock.held == len(numbers(outbox))


def test_nothing_ages_without_a_clock_or_by_an_hours_jump(make: Make) -> None:
    outbox = make(age=7 * DAY)
    for step, jump in enumerate((0, 3600, -3600, 0)):
        outbox.write(rows(step * 10 + 1, step * 10 + 10), now=NOW + jump)
    outbox.write(rows(41, 50), now=None)
    assert numbers(outbox) == list(range(1, 51))


# Losses and dead letters.


def test_a_clock_that_was_set_back_does_not_keep_readings_for_longer(make: Make) -> None:
    outbox = make(age=7 * DAY)
    outbox.write(rows(1, 10), now=NOW + 3 * DAY)
    outbox.write(rows(11, 20), now=NOW)
    outbox.write(rows(21, 30), now=NOW + 8 * DAY)
    assert numbers(outbox) == list(range(11, 31))


def test_losses_beside_each_other_are_joined_under_a_new_id(make: Make) -> None:
    outbox = make()
    outbox.lose(place_of(1, 1), place_of(1, 3), "full")
    outbox.lose(place_of(1, 7), place_of(1, 9), "full")
    newest = outbox.stock.losses
    outbox.lose(place_of(1, 4), place_of(1, 6), "full")
    outbox.lose(place_of(1, 10), place_of(1, 10), "age")
    assert lost(outbox) == [(1, 9, "full"), (10, 10, "age")]
    assert [seq_of(each.first) for each in outbox.losses(newest, 10)] == [1, 10]
    assert outbox.stock.losses > newest


def test_a_dead_letter_is_kept_with_its_reason_and_its_number_is_lost(make: Make) -> None:
    outbox = make()
    outbox.write(rows(1, 5))
    outbox.bury(place_of(1, 2), place_of(1, 3), "it broke the link")
    assert numbers(outbox) == [1, 4, 5]
    assert lost(outbox) == [(2, 3, "dead-letter")]
    letters = outbox.letters()
    assert [(each.row, each.epoch, each.reason, each.retry) for each in letters] == [
        (row(2), "e1", "it broke the link", False),
        (row(3), "e1", "it broke the link", False),
    ]
    assert (outbox.stock.dead, outbox.stock.held) == (2, 3)
    assert outbox.letters(retry=True) == []
    outbox.write(rows(6, 6), revived=[place_of(1, 2)])
    assert [seq_of(each.row.place) for each in outbox.letters()] == [3]
    assert outbox.stock.dead == 1


def test_dead_letters_outlive_the_trimming_of_their_epoch(make: Make) -> None:
    outbox = make()
    outbox.write(rows(1, 2))
    outbox.bury(place_of(1, 1), place_of(1, 1), "refused")
    outbox.begin(Epoch(id=2, name="e2", boot="b1"))
    outbox.write(trims=[(place_of(1, 0), place_of(1, 2))])
    assert [each.epoch for each in outbox.letters()] == ["e1"]


def test_dead_letters_are_bounded(make: Make) -> None:
    outbox = make()
    outbox.write(rows(1, MOST_DEAD + 50))
    outbox.bury(FIRST, LAST, "all bad")
    letters = outbox.letters()
    assert len(letters) == outbox.stock.dead == MOST_DEAD
    assert seq_of(letters[0].row.place) == 51


def test_what_was_kept_elsewhere_is_absorbed_once(make: Make) -> None:
    outbox, other = make(), make()
    other.write(rows(5, 8))
    other.lose(place_of(1, 1), place_of(1, 4), "full")
    other.bury(place_of(1, 8), place_of(1, 8), "bad")
    for _ in range(2):
        outbox.absorb(other.page(FIRST, LAST, 100), [], other.letters())
    outbox.absorb([], [Loss(1, place_of(1, 1), place_of(1, 4), "full")], [])
    assert numbers(outbox) == [5, 6, 7]
    assert (outbox.stock.held, outbox.stock.dead) == (3, 1)
    assert lost(outbox) == [(1, 4, "full")]


# The file.


def test_a_file_keeps_everything_until_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "outbox.db"
    with closing(DiskOutbox(path)) as outbox:
        outbox.begin(Epoch(id=1, name="e1", boot="b1", offset=7.5))
        outbox.write([*rows(1, 9), row(10, value="text")])
        outbox.lose(place_of(1, 1), place_of(1, 1), "full")
        outbox.bury(place_of(1, 3), place_of(1, 3), "bad")
        before = (outbox.stock, numbers(outbox), lost(outbox), outbox.letters(), outbox.epochs())
    assert path.parent.stat().st_mode & 0o077 == 0
    with closing(DiskOutbox(path)) as outbox:
        assert (outbox.stock, numbers(outbox), lost(outbox), outbox.letters(), outbox.epochs()) == before
        assert outbox.next_epoch() == 2


def test_a_file_is_written_so_that_a_power_cut_cannot_undo_it(tmp_path: Path) -> None:
    with closing(DiskOutbox(tmp_path / "outbox.db")) as outbox:
        settings = [
            outbox._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "page_size")
        ]
    assert settings == ["wal", 2, 4096]


def test_one_agent_at_a_time(tmp_path: Path) -> None:
    with closing(DiskOutbox(tmp_path / "outbox.db")), pytest.raises(BlockingIOError):
        DiskOutbox(tmp_path / "outbox.db")
    DiskOutbox(tmp_path / "outbox.db").close()


def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    DiskOutbox(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA user_version = 9")
    before = path.read_bytes()
    with pytest.raises(OSError, match="version 9, this iotxmpp knows 2; nothing was changed"):
        DiskOutbox(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(OSError, match="another program"):
        DiskOutbox(path)
    assert path.read_bytes() == before
