"""Cutting what the outbox holds into packs."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.clock import Moment
from iotxmpp.agent.outbox.packs import MOST_READINGS, Pack, Timeless, cut
from iotxmpp.agent.outbox.rows import Epoch, Row, place_of
from iotxmpp.agent.packbound import MOST_BYTES
from iotxmpp.payloads import pack_element, wire_size
from iotxmpp.readings import ClockQuality, Value
from iotxmpp.senml import encode_plain
from tests.unit.outbox_disk import NOW


class Times:
    """Epoch 1; everything has its own time."""

    def __init__(self) -> None:
        self.epochs = {n: Epoch(id=n, name=f"e{n}", boot="b") for n in (1, 2)}
        self.given: list[int] = []

    def time_of(self, row: Row, moment: Moment) -> tuple[float, ClockQuality] | None:
        return None if row.time < 0 else (row.time, row.clock)

    def epoch_by_id(self, number: int) -> Epoch:
        return self.epochs[number]

    def given_out(self, place: int) -> None:
        self.given.append(place)


NOISE = random.Random(1).randbytes(9_000).decode("latin-1")  # noqa: S311  # no secret
"""Text that hardly compresses."""

MOMENT = Moment(time=NOW, uptime=5.0, quality="s")


def rows_of(samples: Sequence[tuple[int, Value]]) -> list[Row]:
    rows: list[Row] = []
    for number, (count, value) in enumerate(samples):
        for index in range(count):
            rows.append(Row(place_of(1, len(rows) + 1), f"c{index}", "Cel", NOW + number, "s", value))
    return rows


def packs(rows: list[Row]) -> list[Pack]:
    found = []
    while rows:
        pack = cut(rows[: MOST_READINGS + 1], Times(), MOMENT)
        assert isinstance(pack, Pack)
        found.append(pack)
        rows = [row for row in rows if row.place > pack.last]
    return found


@pytest.mark.parametrize(
    "value", ["x" * 16_000, '"' * 16_000, "\x7fä€😀" * 4_000], ids=["plain", "quotes", "wide"]
)
def test_long_texts_go_out_in_packs_of_their_own(value: str) -> None:
    found = packs(rows_of([(1, value)] * 5))
    assert 1 < len(found) <= 5
    assert [each[4] for pack in found for each in pack.readings] == [1, 2, 3, 4, 5]


def test_a_sample_larger_than_a_pack_is_cut() -> None:
    found = packs(rows_of([(1200, 1.5)]))
    assert [each[4] for pack in found for each in pack.readings] == list(range(1, 1201))
    assert len(found) == 3


def test_a_pack_is_of_one_epoch_and_one_quality() -> None:
    rows = [
        Row(place_of(1, 1), "c", None, NOW, "s", 1),
        Row(place_of(1, 2), "c", None, NOW + 1, "u", 1),
        Row(place_of(1, 4), "c", None, NOW + 2, "u", 1),
        Row(place_of(2, 1), "c", None, NOW + 3, "u", 1),
    ]
    found = packs(rows)
    assert [(pack.epoch, pack.first_seq, len(pack.readings)) for pack in found] == [
        ("e1", 1, 1),
        ("e1", 2, 2),
        ("e2", 1, 1),
    ]
    text = encode_plain(found[1].readings, device=DeviceId("g"), clock=found[1].clock)
    assert [record.get("sq") for record in json.loads(text)] == [None, 4]


def test_readings_whose_time_nobody_knows_make_no_pack() -> None:
    rows = [Row(place_of(1, n), "c", None, -1.0 if n < 3 else NOW, "s", 1) for n in range(1, 5)]
    assert cut(rows, Times(), MOMENT) == Timeless(first=place_of(1, 1), last=place_of(1, 2))


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([1, 2.5, True, "text", "<&'\">" * 500, NOISE])),
        max_size=120,
    )
)
def test_packs_are_consecutive_small_enough_and_keep_samples_whole(samples: list[tuple[int, Value]]) -> None:
    found = packs(rows_of(samples))
    numbers = [each[4] for pack in found for each in pack.readings]
    assert numbers == list(range(1, sum(count for count, _ in samples) + 1))
    for pack in found:
        assert len(pack.readings) <= MOST_READINGS
        text = encode_plain(pack.readings, device=DeviceId("greenhouse"), clock=pack.clock)
        size = wire_size(pack_element(text))
        assert size <= MOST_BYTES or len({each[3] for each in pack.readings}) == 1
    for before, after in pairwise(found):
        if before.readings[-1][3] == after.readings[0][3]:
            # Only a sample that is itself too large for a pack is cut.
            assert before.readings[0][3] == before.readings[-1][3]
