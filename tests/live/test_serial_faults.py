"""What goes wrong at a board on a pty, seen from a controller across Prosody: restarts, a pulled plug."""

import asyncio
from pathlib import Path

import pytest

from firmware_bridge.driver import LONGEST_WAIT
from iotxmpp import Agent, Reading
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import CommandUnknownError
from tests.live.site import Site, name_of, until
from tests.unit.pty_house import board, driver, plugged, profile, set_command

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLACK = 2.0
"""Seconds for all but the wait: the board's start, its hello, the way to the controller."""


async def test_a_board_that_restarts_in_a_command_leaves_it_unknown_to_both_doors(
    site: Site, tmp_path: Path
) -> None:
    account = await site.account("house")
    own = await site.device("shed", account)
    agent = Agent(own, heartbeat=20.0)
    equip(agent, profile(), lambda: driver(tmp_path / "tty0"))
    controller = site.controller(account)
    uno = board(commands=(set_command(lasts=5.0),))
    async with controller:
        with plugged(uno, tmp_path / "tty0") as house:
            async with agent:
                shed = await controller.wait_for(name_of(own))
                await until(lambda: uno.unix > 0, "the board is served")

                async def restart() -> None:
                    await until(lambda: uno._running is not None, "the board runs it")
                    uno.restart(asyncio.get_running_loop().time())
                    house._turn()

                restarting = asyncio.create_task(restart())
                with pytest.raises(CommandUnknownError, match="unknown, started: the board restarted"):
                    await shed.call("set", number=1)
                await restarting
                restarting = asyncio.create_task(restart())
                ticket = await shed.queue("set", {"number": 2}, ttl=60.0)
                with pytest.raises(CommandUnknownError, match="unknown, started: the board restarted"):
                    await ticket.result()
                await restarting
    assert uno.ran == [], "it restarted before it had done them, and nothing asked for them again"


@pytest.mark.parametrize("again", ["tty0", "tty7"], ids=["same-name", "other-name"])
async def test_a_plug_that_was_pulled_for_long_heals_within_five_seconds(
    site: Site, tmp_path: Path, again: str
) -> None:
    account = await site.account("house")
    own = await site.device("shed", account)
    agent = Agent(own, heartbeat=20.0)
    equip(agent, profile(), lambda: driver(tmp_path / "tty*", board="sim-1"))
    controller = site.controller(account)
    readings: list[Reading] = []

    @controller.on_reading
    async def take(reading: Reading) -> None:
        readings.append(reading)

    uno = board()
    async with controller, agent:
        with plugged(uno, tmp_path / "tty0"):
            shed = await controller.wait_for(name_of(own))
            await until(lambda: bool(readings), "readings")
        await until(lambda: bool(shed.status and shed.status.problems), "the problem")
        await asyncio.sleep(12)  # by now the delays of other drivers would be long
        readings.clear()
        with plugged(uno, tmp_path / again):
            await until(lambda: bool(readings), "readings again", seconds=LONGEST_WAIT + SLACK)
            await until(lambda: bool(shed.status and not shed.status.problems), "no problem any more")
