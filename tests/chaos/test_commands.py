"""Commands that must not run twice, in short: all that `make chaos-commands` does, smaller and faster."""

from pathlib import Path

import pytest

from iotxmpp.server import ServerKind
from tests.chaos.commands_arena import CommandArena, CommandSize
from tests.chaos.commands_plan import CUTS, Shares

SEED = 20_261_121
IMPATIENT = {
    "iotxmpp.controller.queue_lane:PATIENCE": 1.0,
    "iotxmpp.controller.queue_lane:GRACE": 5.0,
    "iotxmpp.xmpp.negotiation:ATTEMPT_TIMEOUT": 3.0,
}
"""Processes that try again soon: where no answer comes, and where a login is cut."""


@pytest.mark.parametrize("kind", ServerKind)
async def test_each_command_runs_at_most_once_and_ends_in_a_definite_state(
    kind: ServerKind, folder: Path
) -> None:
    size = CommandSize(
        commands=300,
        devices=4,
        shares=Shares(device_kills=0.02, caller_kills=0.01, hole=(0.1, 0.6)),
        resume=1,
        stall=40.0,
        constants=IMPATIENT,
    )
    async with CommandArena(kind, size, folder, seed=SEED, say=print) as arena:
        verdict = await arena.run()
    print(verdict)
    assert verdict.faults == []
    assert sum(arena.inflicted[what] for what in CUTS) == 0.1 * size.commands
    assert arena.inflicted["kill-device"] == 0.02 * size.commands
    assert arena.inflicted["kill-caller"] == 0.01 * size.commands
    assert verdict.states.total() == size.commands
    assert verdict.of("done") > 0.7 * size.commands, "most of them ended otherwise: little was proven"


async def test_the_harness_notices_a_device_that_forgets_its_calls(folder: Path) -> None:
    size = CommandSize(
        commands=60,
        devices=3,
        shares=Shares(cuts=0.0, device_kills=0.2, caller_kills=0.0, labels=("command.ran",)),
        resume=1,
        stall=40.0,
        constants=IMPATIENT,
    )
    async with CommandArena(ServerKind.PROSODY, size, folder, seed=SEED, mutate="journal") as arena:
        verdict = await arena.run()
    assert any("ran 2 times" in fault for fault in verdict.faults), str(verdict)
