"""Runs many simulated devices in one process, from their staggered start to their end."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from iotxmpp.agent.drivers.faults import FaultName
from iotxmpp.agent.drivers.signals import chance
from iotxmpp.simulation.truth import Truth
from iotxmpp.simulation.unit import Unit

A_SECOND = 20.0
"""Devices that start in a second, so that no server is stormed."""

_SHOWN = 3


class Stopwatch:
    """Seconds since it was started; 0 before."""

    def __init__(self) -> None:
        self._started: float | None = None

    def start(self) -> None:
        """Starts it."""
        self._started = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since then."""
        return 0.0 if self._started is None else time.monotonic() - self._started


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """How a fleet is at one moment.

    Attributes:
        devices: How many there are.
        online: How many have a session.
        seen: How many ever had one.
        values: Values that their sensors gave.
        commands: Commands that they carried out.
        lost: Connections that were lost without being told to.
        faults: How many devices have which fault now.
    """

    devices: int
    online: int
    seen: int
    values: int
    commands: int
    lost: int
    faults: dict[FaultName, int]


class Fleet:
    """Devices that run together.

    Attributes:
        ran: Seconds that it ran, once it is over.
        last: How it was just before its end.
    """

    def __init__(self, units: Sequence[Unit], truth: Truth, watch: Stopwatch) -> None:
        """Makes it; nothing runs yet.

        Args:
            units: The devices, which read the time from the watch.
            truth: Where to write which fault is on when.
            watch: Is started with the fleet.
        """
        self._units = units
        self._truth = truth
        self._watch = watch
        self._failed: list[str] = []
        self.ran = 0.0
        self.last = self.state()

    def state(self) -> State:
        """How it is now."""
        units = self._units
        return State(
            devices=len(units),
            online=sum(unit.online for unit in units),
            seen=sum(unit.seen for unit in units),
            values=sum(unit.tally.values for unit in units),
            commands=sum(unit.tally.commands for unit in units),
            lost=sum(unit.lost for unit in units),
            faults=dict(Counter(self._truth.on.values())),
        )

    async def run(self, stop: asyncio.Event, seconds: float | None) -> None:
        """Runs all until the event is set, or for so many seconds, and ends them."""
        self._watch.start()
        living = [asyncio.create_task(unit.live(self._delay(n))) for n, unit in enumerate(self._units)]
        following = [asyncio.create_task(self._follow(unit)) for unit in self._units]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await stop.wait()
        finally:
            self.ran, self.last, self._failed = self._watch.elapsed(), self.state(), self._faults()
            for task in (*following, *living):
                task.cancel()
            ended = await asyncio.gather(*following, *living, return_exceptions=True)
            self._truth.close(time.time())
        for each in ended:
            if isinstance(each, Exception):
                raise each

    def faults(self) -> list[str]:
        """Once it is over: what went wrong that nobody asked for."""
        return self._failed

    def _delay(self, number: int) -> float:
        return (number + chance(self._units[number].member.seed, 0)) / A_SECOND

    async def _follow(self, unit: Unit) -> None:
        """Says when the device's fault is on, and takes it offline where that is the fault."""
        fault = unit.member.fault
        if fault is None:
            return
        while True:
            window = fault.next_window(self._watch.elapsed())
            await asyncio.sleep(window.begins - self._watch.elapsed())
            self._truth.began(unit.member.device, fault.kind, time.time())
            left = window.ends - self._watch.elapsed()
            if fault.kind == "offline":
                unit.cut_for(max(left, 0.0))
            await asyncio.sleep(left)
            self._truth.ended(unit.member.device, time.time())

    def _faults(self) -> list[str]:
        never = [unit for unit in self._units if not unit.seen]
        gone = [unit for unit in self._units if unit.seen and not unit.online and not unit.excused]
        lost = [unit for unit in self._units if unit.lost and unit not in gone]
        told = [
            ("never got online", never),
            ("are offline at the end", gone),
            ("lost their connection", lost),
        ]
        return [f"{len(units)} of {len(self._units)} {what}: {_some(units)}" for what, units in told if units]


def _some(units: Sequence[Unit]) -> str:
    """The first of the devices, with what is known of each."""
    names = [
        f"{unit.member.device} ({unit.error})" if unit.error else str(unit.member.device)
        for unit in units[:_SHOWN]
    ]
    return ", ".join([*names, *(["…"] if len(units) > _SHOWN else [])])
