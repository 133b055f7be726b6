"""The time of readings in the outbox, whatever the device's clock does."""

from pathlib import Path

import pytest

from iotxmpp.agent.clock import Clock
from iotxmpp.agent.outbox import keeper as keeper_module
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.packs import Pack, Timeless, cut
from iotxmpp.agent.outbox.rows import FIRST, LAST, place_of
from tests.unit.agent_house import until
from tests.unit.outbox_disk import NOW
from tests.unit.outbox_house import one, opened


class Clocks:
    """Clocks that a test sets."""

    def __init__(self, wall: float = NOW, up: float = 100.0, boot: str = "boot-1") -> None:
        self.wall, self.up, self.boot, self.sync = wall, up, boot, True

    def clock(self) -> Clock:
        return Clock(
            wall=lambda: self.wall, uptime=lambda: self.up, synchronised=lambda: self.sync, boot=self.boot
        )


async def pack_of(keeper: Keeper) -> Pack | Timeless:
    return cut(await keeper.page(FIRST, LAST, 501), keeper, keeper.moment())


async def test_readings_keep_their_time_and_its_quality(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        await keeper.keep(one())
        await keeper.keep(one(), NOW - 500.0)
        clocks.sync, clocks.up, clocks.wall = False, 200.0, NOW + 100
        await keeper.keep(one())
        rows = await keeper.page(FIRST, LAST, 9)
    assert [(row.time, row.clock) for row in rows] == [(NOW, "s"), (NOW - 500, "s"), (NOW + 100, "u")]


async def test_jumps_of_an_hour_lose_and_reorder_nothing(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        for number, jump in enumerate((0.0, 3600.0, -3600.0, 0.0)):
            clocks.wall = NOW + jump
            await keeper.keep(one(number))
        rows = await keeper.page(FIRST, LAST, 9)
    assert [row.value for row in rows] == [0, 1, 2, 3]
    assert [row.time - NOW for row in rows] == [0, 3600, -3600, 0]


async def test_without_a_clock_the_age_of_readings_is_sent(tmp_path: Path) -> None:
    clocks = Clocks(wall=12.0, up=50.0)
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        await keeper.keep(one())
        clocks.up = 60.0
        await keeper.keep(one())
        clocks.up = 65.5
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert ([each[3] for each in pack.readings], pack.clock) == ([-15.5, -5.5], "r")
        assert keeper.oldest == 15.5


async def test_a_clock_set_in_the_same_boot_gives_readings_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "CLOCK_EVERY", 0.01)
    clocks = Clocks(wall=12.0, up=50.0)
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        await keeper.keep(one())
        clocks.wall, clocks.up = NOW, 150.0
        await until(lambda: keeper.epoch_by_id(1).offset is not None)
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert ([each[3] for each in pack.readings], pack.clock) == ([NOW - 100], "u")
    later = Clocks(wall=NOW + 9000, up=3.0, boot="boot-2")
    async with opened(tmp_path / "outbox.db", epoch="e2", clock=later.clock()) as keeper:
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert pack.readings[0][3] == NOW - 100


async def test_the_time_is_found_by_the_next_run_in_the_same_boot(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db", clock=Clocks(wall=12.0, up=50.0).clock()) as keeper:
        await keeper.keep(one())
    async with opened(tmp_path / "outbox.db", epoch="e2", clock=Clocks(up=150.0).clock()) as keeper:
        pack = await pack_of(keeper)
        assert isinstance(pack, Pack)
        assert pack.readings[0][3] == NOW - 100


async def test_the_time_of_a_boot_that_never_had_one_cannot_be_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox.db", clock=Clocks(wall=12.0, up=50.0).clock()) as keeper:
        await keeper.keep(one())
    async with opened(tmp_path / "outbox.db", epoch="e2", clock=Clocks(boot="boot-2").clock()) as keeper:
        assert await pack_of(keeper) == Timeless(first=place_of(1, 1), last=place_of(1, 1))


async def test_a_clock_set_days_ahead_makes_no_backlog_too_old(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "outbox.db", clock=clocks.clock()) as keeper:
        for hour in range(5):
            clocks.wall, clocks.up = NOW + hour * 3660, 100.0 + hour * 3660
            await keeper.keep(one(hour))
        clocks.wall, clocks.sync = clocks.wall + 8 * 86400, False  # the kernel says so from that moment on
        await keeper.keep(one(5))
        assert [row.value for row in await keeper.page(FIRST, LAST, 9)] == [0, 1, 2, 3, 4, 5]
        assert (await keeper.losses(0, 9), keeper.stock.dropped) == ([], 0)
