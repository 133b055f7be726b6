import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.outbox import MOST_BYTES, MOST_READINGS, MemoryOutbox, Pack
from iotxmpp.readings import Reading, Value
from iotxmpp.senml import encode

NOW = 1_700_000_000.0


def sample(count: int, at: float = NOW, value: Value = 1.5) -> list[Reading]:
    return [Reading(channel=f"c{n}", value=value, unit="Cel", time=at) for n in range(count)]


async def packs(outbox: MemoryOutbox) -> list[Pack]:
    found = []
    while outbox.buffered:
        found.append(await outbox.next_pack())
        outbox.settle()
    return found


async def test_readings_are_numbered_from_one_in_one_epoch() -> None:
    outbox = MemoryOutbox()
    outbox.add(sample(2))
    outbox.add(sample(1))
    pack = await outbox.next_pack()
    assert [reading.seq for reading in pack.readings] == [1, 2, 3]
    assert {reading.epoch for reading in pack.readings} == {outbox.epoch}
    assert (pack.epoch, pack.first_seq) == (outbox.epoch, 1)
    assert MemoryOutbox().epoch != outbox.epoch


async def test_a_pack_stays_the_same_until_it_is_settled() -> None:
    outbox = MemoryOutbox()
    outbox.add(sample(1))
    first = await outbox.next_pack()
    outbox.add(sample(1))
    assert await outbox.next_pack() is first
    assert outbox.buffered == 2
    outbox.settle()
    second = await outbox.next_pack()
    assert [reading.seq for reading in second.readings] == [2]


async def test_what_gathers_during_a_flight_goes_out_as_one_pack() -> None:
    outbox = MemoryOutbox()
    outbox.add(sample(1))
    await outbox.next_pack()
    for at in range(20):
        outbox.add(sample(2, NOW + at))
    outbox.settle()
    assert len((await outbox.next_pack()).readings) == 40


async def test_the_next_pack_is_waited_for() -> None:
    outbox = MemoryOutbox()
    waiting = asyncio.create_task(outbox.next_pack())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.add([])
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.add(sample(1))
    assert len((await waiting).readings) == 1


async def test_a_full_outbox_drops_whole_samples_the_oldest_first() -> None:
    outbox = MemoryOutbox(limit=5)
    for at in range(4):
        outbox.add(sample(2, NOW + at))
    assert (outbox.buffered, outbox.dropped) == (4, 4)
    pack = await outbox.next_pack()
    assert [reading.seq for reading in pack.readings] == [5, 6, 7, 8]


async def test_the_pack_that_is_out_is_never_dropped() -> None:
    outbox = MemoryOutbox(limit=2)
    outbox.add(sample(2))
    pack = await outbox.next_pack()
    for at in range(3):
        outbox.add(sample(2, NOW + at))
    assert await outbox.next_pack() is pack
    assert (outbox.buffered, outbox.dropped) == (4, 4)
    outbox.settle()
    assert (await outbox.next_pack()).first_seq == 7


async def test_a_pack_given_up_counts_as_dropped() -> None:
    outbox = MemoryOutbox()
    outbox.add(sample(3))
    await outbox.next_pack()
    outbox.settle(delivered=False)
    assert (outbox.buffered, outbox.dropped) == (0, 3)


async def test_drained_returns_when_everything_is_settled() -> None:
    outbox = MemoryOutbox()
    await outbox.drained()
    outbox.add(sample(1))
    waiting = asyncio.create_task(outbox.drained())
    await outbox.next_pack()
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.settle()
    await waiting


@pytest.mark.parametrize(
    "value", ["x" * 16_000, '"' * 16_000, "\x7fä€😀" * 4_000], ids=["plain", "quotes", "wide"]
)
async def test_long_texts_go_out_in_packs_of_their_own(value: str) -> None:
    outbox = MemoryOutbox()
    for at in range(5):
        outbox.add(sample(1, NOW + at, value))
    found = await packs(outbox)
    assert 1 < len(found) <= 5
    assert [reading.seq for pack in found for reading in pack.readings] == [1, 2, 3, 4, 5]


async def test_a_sample_larger_than_a_pack_is_cut() -> None:
    outbox = MemoryOutbox()
    outbox.add(sample(1200))
    found = await packs(outbox)
    assert [reading.seq for pack in found for reading in pack.readings] == list(range(1, 1201))
    assert len(found) == 3


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([1, 2.5, True, "text", "<&'\">" * 500])), max_size=120
    )
)
async def test_packs_are_consecutive_small_enough_and_keep_samples_whole(
    samples: list[tuple[int, Value]],
) -> None:
    outbox = MemoryOutbox()
    for number, (count, value) in enumerate(samples):
        outbox.add(sample(count, NOW + number, value))
    found = await packs(outbox)
    assert [reading.seq for pack in found for reading in pack.readings] == list(
        range(1, sum(count for count, _ in samples) + 1)
    )
    for pack in found:
        assert len(pack.readings) <= MOST_READINGS
        text = encode(pack.readings, device=DeviceId("greenhouse"))
        escaped = sum(6 if character in "\"'&<>" else 1 for character in text)
        assert escaped <= MOST_BYTES or len({reading.time for reading in pack.readings}) == 1
    for before, after in pairwise(found):
        if before.readings[-1].time == after.readings[0].time:
            # Only a sample that is itself too large for a pack is cut.
            assert before.readings[0].time == before.readings[-1].time
