"""The chaos harness in its short form: everything that `make chaos` does, smaller and faster."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path

import pytest

from iotxmpp.crashpoints import LABELS, MAKING_LABELS
from iotxmpp.server import ServerKind
from tests.chaos.faults import SHORT, Kind
from tests.chaos.harness import Arena, Size
from tests.chaos.settings import Mutation

SEED = 20_261_121
AT_THE_CONTROLLER = ("stored", "ack-sent")
AT_A_DEVICE = tuple(sorted(LABELS - set(AT_THE_CONTROLLER)))


IMPATIENT = {"iotxmpp.agent.publisher:ACK_PATIENCE": 0.5, "iotxmpp.agent.outbox.pace:ENOUGH": 50.0}
"""Devices that publish again what is not acknowledged at once, so that much comes twice, and whose commits
wait for the link as soon as 50 readings do."""


@pytest.mark.parametrize("kind", ServerKind)
async def test_nothing_is_lost_and_nothing_comes_twice(kind: ServerKind, folder: Path) -> None:
    size = Size(
        devices=4,
        readings=4000,
        rate=150,
        faults=dict.fromkeys(Kind, 5),
        scale=SHORT,
        lanes=3,
        resume=1,
        constants=IMPATIENT,
        starved=12_000,
    )
    async with Arena(kind, size, folder, say=print) as arena:
        verdict = await arena.run(SEED)
        assert Counter(fault.kind for fault in arena.inflicted) == size.faults
    print(verdict)
    assert verdict.faults == []
    assert verdict.promised + verdict.unknown == (size.devices + 1) * size.readings
    assert verdict.stored + verdict.lost == verdict.promised + verdict.unknown_stored
    assert verdict.lost, "the device without room lost nothing: nothing was proven about gaps"


CALM = Size(
    devices=len(AT_A_DEVICE),
    readings=600,  # so many that the third trimming still has something to trim where all is slow
    rate=60,
    batch=4,
    scale=SHORT,
    resume=1,
    constants={
        "iotxmpp.agent.outbox.taking:COMMIT_EVERY": 0.1,
        "iotxmpp.agent.outbox.taking:SPARED": 0.0,
        "iotxmpp.agent.outbox.keeper:TRIM_EVERY": 0.1,
    },
)


@pytest.mark.parametrize("passes", [1, 3])
async def test_a_crash_at_any_point_loses_nothing(passes: int, folder: Path) -> None:
    at_devices = list(AT_A_DEVICE)
    if passes == 1:
        at_devices += MAKING_LABELS  # a device makes its outbox once
    size = replace(CALM, devices=len(at_devices))
    async with Arena(ServerKind.PROSODY, size, folder) as arena:
        for label, process in zip(at_devices, arena.devices.values(), strict=True):
            arena.start(process, f"{label}:{passes}")
        for label in AT_THE_CONTROLLER:
            arena.start(arena.keeper, f"{label}:{passes}")
            assert await _killed(arena.keeper.wait()), f"the controller never came to {label}"
        arena.start(arena.keeper)
        for label, process in zip(at_devices, arena.devices.values(), strict=True):
            assert await _killed(process.wait()), f"{process.name} never came to {label}"
            arena.start(process)
        verdict = await arena.verdict()
    assert verdict.faults == []
    assert verdict.promised + verdict.unknown == size.devices * size.readings


async def _killed(end: Coroutine[object, object, int]) -> bool:
    try:
        async with asyncio.timeout(40):
            return await end == -9
    except TimeoutError:
        return False


BROKEN = Size(
    devices=2,
    readings=1600,
    rate=200,
    scale=SHORT,
    faults={Kind.KILL_AGENT: 8, Kind.KILL_CONTROLLER: 3, Kind.CONTROLLER_AWAY: 3, Kind.BLACK_HOLE: 4},
    lanes=3,
    resume=1,
    settle=6.0,
    # Acks come much later than a device is patient for, so that much comes twice.
    constants={
        "iotxmpp.agent.publisher:ACK_PATIENCE": 0.05,
        "iotxmpp.controller.ackpace:LEAST": 0.5,
        "iotxmpp.controller.ackpace:EVERY": 0.5,
    },
)
SELDOM = {"iotxmpp.agent.outbox.taking:COMMIT_EVERY": 2.0}
"""What is promised and not on disk is lost where nobody acknowledges, and the commit takes its time."""


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        ("dedup", "is stored twice"),
        ("fsync", "promised readings are not stored"),
        ("ack", "not settled"),
    ],
)
async def test_the_harness_notices_a_product_without(mutate: Mutation, words: str, folder: Path) -> None:
    size = replace(BROKEN, constants={**BROKEN.constants, **SELDOM}) if mutate == "fsync" else BROKEN
    async with Arena(ServerKind.PROSODY, size, folder, mutate=mutate) as arena:
        verdict = await arena.run(SEED)
    assert any(words in fault for fault in verdict.faults), str(verdict)
