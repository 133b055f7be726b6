"""A board on a real pty, an agent, Prosody, a controller's handler: readings, commands, unplugging."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_bridge.driver import SerialDriver
from iotxmpp import Agent, Reading
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import CommandError
from tests.live.site import Site, name_of, until
from tests.unit.pty_house import Plugged, board, profile

if TYPE_CHECKING:
    from firmware_bridge.simulated import SimulatedBoard

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextmanager
def pulled_at_the_end(house: Plugged) -> Iterator[Plugged]:
    try:
        yield house
    finally:
        house.pull()


def factory(port: Path) -> Callable[[], SerialDriver]:
    settings = {"port": str(port), "board": "sim-1", "reset_wait": 0.3}
    return lambda: SerialDriver(profile=profile(), settings=settings)


@pytest.mark.parametrize("level", [0, 1])
async def test_a_board_is_read_and_obeys_across_the_server(site: Site, tmp_path: Path, level: int) -> None:
    account = await site.account("house")
    own = await site.device("shed", account)
    agent = Agent(own, heartbeat=20.0)
    equip(agent, profile(), factory(tmp_path / "tty*"), every=0.2)
    controller = site.controller(account)
    readings: list[Reading] = []

    @controller.on_reading
    async def take(reading: Reading) -> None:
        readings.append(reading)

    uno: SimulatedBoard = board(level=level)
    async with controller:
        with pulled_at_the_end(Plugged(uno, tmp_path / "tty0")) as house:
            async with agent:
                shed = await controller.wait_for(name_of(own))
                await until(lambda: {"temperature", "humidity"} <= {r.channel for r in readings}, "readings")
                assert await shed.call("set", number=7) == 7
                assert uno.ran[-1][1]["number"] == 7
                house.pull()
                await until(
                    lambda: any("plug" in text for text in (shed.status.problems if shed.status else ())),
                    "the problem",
                )
                with pytest.raises((CommandError, OSError)):
                    await shed.call("set", number=8)
                away = time.time()
                with pulled_at_the_end(Plugged(uno, tmp_path / "tty5")):
                    # Some that were read before may come now.
                    await until(lambda: sum(each.time > away for each in readings) > 3, "readings again")
                    assert await shed.call("set", number=9) == 9
    assert [arguments["number"] for _, arguments in uno.ran] == [7, 9]
