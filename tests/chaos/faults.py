"""What is done to a running system, drawn in random order from a seed."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tests.proxy import Proxy

SERVER, CONTROLLER = "server", "controller"
MOST_CUT = 3000
OVERHEAD = 0.3


class Kind(StrEnum):
    """The faults."""

    KILL_SERVER = "kill-server"
    KILL_AGENT = "kill-agent"
    KILL_CONTROLLER = "kill-controller"
    CONTROLLER_AWAY = "controller-away"
    RESET = "reset"
    BLACK_HOLE = "black-hole"
    HALF_CLOSE = "half-close"
    TRICKLE = "trickle"
    LATENCY = "latency"
    CUT = "cut"


KILLS = frozenset({Kind.KILL_SERVER, Kind.KILL_AGENT, Kind.KILL_CONTROLLER})
PARTITIONS = frozenset(Kind) - KILLS - {Kind.CONTROLLER_AWAY}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How long faults last, in seconds.

    Attributes:
        down: The most that a killed process stays away.
        partition: The least and the most of a partition.
        latency: How late everything is.
        away: How long the controller is away; longer than the server keeps a session to be resumed.
        pause: The most between two faults of one lane.
    """

    down: float
    partition: tuple[float, float]
    latency: float
    away: float
    pause: float


SHORT = Scale(down=0.3, partition=(0.3, 1.2), latency=2.0, away=3.0, pause=0.3)
FULL = Scale(down=5.0, partition=(2.0, 40.0), latency=30.0, away=30.0, pause=4.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: What it is.
        target: Whom it hits: a device, the controller, or the server.
        seconds: How long it lasts.
        pause: Seconds of peace before it.
        detail: The bytes that pass before a cut; for a half close, whether the server's side reads the end.
    """

    kind: Kind
    target: str
    seconds: float
    pause: float
    detail: int

    def __str__(self) -> str:
        return f"{self.kind} {self.target} {self.seconds:.1f} s"


def draw(seed: int, counts: Mapping[Kind, int], devices: list[str], scale: Scale) -> list[Fault]:
    """So many faults of each kind, in an order, of targets and for times that the seed chooses."""
    chance = random.Random(seed)  # noqa: S311  # chaos that can be repeated, no secret
    kinds = [kind for kind in Kind for _ in range(counts.get(kind, 0))]
    chance.shuffle(kinds)
    return [_drawn(kind, chance, devices, scale) for kind in kinds]


def expected_seconds(faults: Sequence[Fault], lanes: int) -> float:
    """How long that takes, roughly, with so many at a time."""
    return sum(fault.seconds + fault.pause + OVERHEAD for fault in faults) / lanes


def _drawn(kind: Kind, chance: random.Random, devices: list[str], scale: Scale) -> Fault:
    party = chance.choice([*devices, CONTROLLER])
    device = chance.choice(devices)
    seconds = chance.uniform(*scale.partition)
    if kind in KILLS:
        seconds = chance.uniform(0, scale.down)
    elif kind == Kind.CONTROLLER_AWAY:
        seconds = scale.away
    elif kind == Kind.LATENCY:
        seconds += scale.latency  # long enough that something arrives late
    targets = {
        Kind.KILL_SERVER: SERVER,
        Kind.KILL_AGENT: device,
        Kind.KILL_CONTROLLER: CONTROLLER,
        Kind.CONTROLLER_AWAY: CONTROLLER,
    }
    return Fault(
        kind=kind,
        target=targets.get(kind, party),
        seconds=seconds,
        pause=chance.uniform(0, scale.pause),
        detail=chance.randrange(1, MOST_CUT),
    )


class Stage(Protocol):
    """What faults are inflicted on."""

    async def kill(self, target: str, away: float) -> None:
        """Kills a process with SIGKILL, and starts it again after so many seconds."""

    def proxy(self, target: str) -> Proxy:
        """What this device's or the controller's connection goes through."""


async def inflict(fault: Fault, stage: Stage, *, latency: float) -> None:
    """Does it, and ends it."""
    if fault.kind in KILLS or fault.kind == Kind.CONTROLLER_AWAY:
        await stage.kill(fault.target, fault.seconds)
        return
    proxy = stage.proxy(fault.target)
    match fault.kind:
        case Kind.RESET:
            proxy.reset()
            return
        case Kind.HALF_CLOSE:
            proxy.half_close("server" if fault.detail % 2 else "client")
        case Kind.BLACK_HOLE:
            proxy.black_hole()
        case Kind.TRICKLE:
            proxy.throttle(1)
        case Kind.LATENCY:
            proxy.delay(latency)
        case Kind.CUT:
            proxy.cut_after(fault.detail)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        proxy.resume()
