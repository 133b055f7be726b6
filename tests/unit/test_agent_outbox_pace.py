"""Commits wait while the link has enough to send from the disk, and for nothing else."""

import asyncio
from pathlib import Path

import pytest

from iotxmpp.agent.outbox import pace, taking
from iotxmpp.agent.outbox.keeper import Keeper
from tests.unit.outbox_house import numbers, opened

AHEAD = 10
SOME = 150


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "COMMIT_EVERY", 60.0)
    monkeypatch.setattr(pace, "ENOUGH", AHEAD)
    monkeypatch.setattr(pace, "LIVELY", 60.0)


def take(keeper: Keeper, count: int, *, urgent: bool = False) -> "asyncio.Future[None]":
    keeper.take_many([("level", 1.5, "m", None)] * count, urgent=urgent)
    return keeper.kept()


async def committed(kept: "asyncio.Future[None]") -> None:
    await asyncio.wait_for(kept, 5)


async def is_held(kept: "asyncio.Future[None]") -> bool:
    done, _ = await asyncio.wait({kept}, timeout=0.1)
    return not done


@pytest.mark.parametrize("count", [SOME, 30])
async def test_a_commit_waits_until_the_link_has_little_left_to_send(tmp_path: Path, count: int) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await committed(take(keeper, SOME))
        keeper.given_out(keeper.start + 1)
        kept = take(keeper, count)
        assert await is_held(kept)
        keeper.given_out(keeper.start + SOME - AHEAD - 1)
        assert await is_held(kept)
        keeper.given_out(keeper.start + SOME - AHEAD)
        await committed(kept)
        assert len(await numbers(keeper)) == SOME + count


async def test_readings_that_are_given_out_live_keep_no_commit_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        for number in range(3):
            kept = take(keeper, SOME)
            keeper.given_out(keeper.start + (number + 1) * SOME)
            await committed(kept)


async def test_a_link_that_never_sent_is_not_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        for _ in range(3):
            await committed(take(keeper, SOME))


async def test_a_link_that_sends_nothing_new_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LIVELY", 0.05)
    async with opened(tmp_path / "outbox.db") as keeper:
        await committed(take(keeper, SOME))
        keeper.given_out(keeper.start + 1)
        await asyncio.sleep(2 * pace.LIVELY)
        keeper.given_out(keeper.start + 1)  # once more, after a cut
        await committed(take(keeper, SOME))


async def test_an_alarm_waits_for_no_link(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await committed(take(keeper, SOME))
        keeper.given_out(keeper.start + 1)
        kept = take(keeper, SOME)
        assert await is_held(kept)
        await committed(take(keeper, 1, urgent=True))
        assert kept.done()


async def test_no_commit_waits_longer_than_others_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path / "outbox.db") as keeper:
        await committed(take(keeper, SOME))
        keeper.given_out(keeper.start + 1)
        monkeypatch.setattr(taking, "COMMIT_EVERY", 0.2)
        await committed(take(keeper, SOME))
