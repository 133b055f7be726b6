"""The faults of the chaos harness: drawn from a seed, and each inflicted and ended."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.faults import (
    CONTROLLER,
    FULL,
    KILLS,
    PARTITIONS,
    SERVER,
    SHORT,
    Fault,
    Kind,
    draw,
    inflict,
)
from tests.proxy import Proxy

DEVICES = ["d1", "d2", "d3"]
FIVE = dict.fromkeys(Kind, 5)


def test_a_seed_gives_the_same_faults_again_and_another_seed_gives_others() -> None:
    assert draw(7, FIVE, DEVICES, SHORT) == draw(7, FIVE, DEVICES, SHORT)
    assert draw(7, FIVE, DEVICES, SHORT) != draw(8, FIVE, DEVICES, SHORT)


def test_every_kind_comes_as_often_as_asked_and_hits_whom_it_can() -> None:
    faults = draw(7, dict.fromkeys(Kind, 40), DEVICES, FULL)
    assert Counter(fault.kind for fault in faults) == dict.fromkeys(Kind, 40)
    targets = {kind: {fault.target for fault in faults if fault.kind == kind} for kind in Kind}
    assert targets[Kind.KILL_SERVER] == {SERVER}
    assert targets[Kind.KILL_AGENT] == set(DEVICES)
    assert targets[Kind.KILL_CONTROLLER] == targets[Kind.CONTROLLER_AWAY] == {CONTROLLER}
    assert all(targets[kind] == {*DEVICES, CONTROLLER} for kind in PARTITIONS)
    assert all(fault.seconds >= 30 for fault in faults if fault.kind == Kind.LATENCY)


class RecordingProxy(Proxy):
    def __init__(self) -> None:
        super().__init__("127.0.0.1", 1)
        self.done: list[str] = []

    def reset(self) -> None:
        self.done.append("reset")

    def black_hole(self) -> None:
        self.done.append("silent")

    def throttle(self, rate: float) -> None:
        self.done.append(f"rate {rate}")

    def delay(self, seconds: float) -> None:
        self.done.append(f"late {seconds}")

    def half_close(self, toward: str) -> None:
        self.done.append(f"half {toward}")

    def cut_after(self, count: int) -> None:
        self.done.append(f"cut {count}")

    def resume(self) -> None:
        self.done.append("resume")


class RecordingStage:
    def __init__(self) -> None:
        self.one = RecordingProxy()
        self.killed: list[tuple[str, float]] = []

    async def kill(self, target: str, away: float) -> None:
        self.killed.append((target, away))

    def proxy(self, target: str) -> Proxy:
        assert target == "d1"
        return self.one


FAULT = Fault(kind=Kind.RESET, target="d1", seconds=0.01, pause=0, detail=77)


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        (Kind.RESET, ["reset"]),
        (Kind.BLACK_HOLE, ["silent", "resume"]),
        (Kind.HALF_CLOSE, ["half server", "resume"]),
        (Kind.TRICKLE, ["rate 1", "resume"]),
        (Kind.LATENCY, ["late 3.0", "resume"]),
        (Kind.CUT, ["cut 77", "resume"]),
    ],
)
async def test_a_partition_is_inflicted_and_ended(kind: Kind, done: list[str]) -> None:
    stage = RecordingStage()
    await inflict(replace(FAULT, kind=kind), stage, latency=3.0)
    assert stage.one.done == done
    assert not stage.killed


@pytest.mark.parametrize("kind", [*sorted(KILLS), Kind.CONTROLLER_AWAY])
async def test_a_kill_goes_to_the_stage(kind: Kind) -> None:
    stage = RecordingStage()
    await inflict(replace(FAULT, kind=kind), stage, latency=3.0)
    assert stage.killed == [("d1", 0.01)]


async def test_a_partition_that_is_interrupted_is_ended_too() -> None:
    stage = RecordingStage()
    task = asyncio.create_task(inflict(replace(FAULT, kind=Kind.BLACK_HOLE, seconds=60), stage, latency=3.0))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert stage.one.done == ["silent", "resume"]
