"""A whole system in child processes, faults inflicted on it, and the judge's verdict on what is left."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from iotxmpp.server import ServerKind
from tests.chaos.faults import CONTROLLER, SERVER, Fault, Kind, Scale, draw, inflict
from tests.chaos.oracle import Verdict, judge, stored_counts
from tests.chaos.process import Process
from tests.chaos.settings import DeviceConfig, DeviceState, KeeperConfig, Mutation
from tests.chaos.stage import Stage
from tests.proxy import Proxy

STARVED = "starved"
STARTS_WITHIN = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large a run is.

    Attributes:
        devices: How many devices.
        readings: How many readings each of them makes.
        rate: How many of them a second.
        batch: How many at once, at most.
        faults: How many faults of each kind.
        scale: How long they last.
        lanes: How many faults at a time.
        quick: Whether links come back at once.
        resume: Seconds for which the server keeps a cut session; None for its own choice.
        settle: Seconds in which all must be in the store after the last fault and the last reading.
        constants: As in `ChildConfig`.
        starved: The bytes that a further device has for its outbox: too few, so it loses readings and says
            so; None for no such device.
    """

    devices: int
    readings: int
    rate: float
    batch: int = 40
    faults: Mapping[Kind, int] = field(default_factory=dict)
    scale: Scale
    lanes: int = 2
    quick: bool = True
    resume: int | None = None
    settle: float = 60.0
    constants: Mapping[str, float] = field(default_factory=dict)
    starved: int | None = None


class Arena(Stage):
    """A server, its devices, and the controller that keeps what they say.

    Args:
        kind: Which server.
        size: How large.
        folder: Where everything is kept; any user must be able to enter it.
        store: The store's URL; a SQLite file in the folder unless given.
        say: Told what happens.
        mutate: What is broken on purpose.
    """

    def __init__(  # noqa: PLR0913  # each is a choice of its own
        self,
        kind: ServerKind,
        size: Size,
        folder: Path,
        *,
        store: str | None = None,
        say: Callable[[str], None] = log.info,
        mutate: Mutation | None = None,
    ) -> None:
        super().__init__(kind, folder, resume=size.resume)
        self.size = size
        self.url = store or f"sqlite:///{folder / 'store.db'}"
        self.devices: dict[str, Process] = {}
        self.ledgers: dict[str, Path] = {}
        self.inflicted: list[Fault] = []
        self._say = say
        self._mutate = mutate
        self._server_lock = asyncio.Lock()

    # What faults are inflicted on.

    def proxy(self, target: str) -> Proxy:
        """What this device's or the controller's connection goes through."""
        return self._proxies[target]

    async def kill(self, target: str, away: float) -> None:
        """Kills a process with SIGKILL, and starts it again after so many seconds."""
        if target == SERVER:
            async with self._server_lock:
                await self.server.kill()
                await asyncio.sleep(away)
                await self.server.start()
            return
        process = self.keeper if target == CONTROLLER else self.devices[target]
        async with process.lock:
            await process.kill()
            await asyncio.sleep(away)
            self.start(process)

    # A run.

    def start(self, process: Process, crash_at: str | None = None) -> None:
        """Starts a device or the controller, mutated if the run is."""
        takes = ("dedup", "ack") if process is self.keeper else ("fsync",)
        options = ("--mutate", self._mutate) if self._mutate in takes else ()
        process.start(*options, crash_at=crash_at)

    def start_all(self) -> None:
        """Starts the controller and all devices."""
        for process in self._processes():
            self.start(process)

    async def run(self, seed: int) -> Verdict:
        """Starts everything, inflicts the faults of this seed, waits until all is stored, and judges."""
        self.start_all()
        await self._made_some()
        faults = draw(seed, self.size.faults, list(self.devices), self.size.scale)
        waiting = iter(faults)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.size.lanes):
                group.create_task(self._lane(waiting, len(faults)))
        return await self.verdict()

    async def verdict(self) -> Verdict:
        """Waits until the devices have nothing left, ends everything cleanly, and judges."""
        self.faults += await self._settled()
        await asyncio.gather(*(process.end() for process in self.devices.values()))
        await self.keeper.end()
        starved = () if self.size.starved is None else (STARVED,)
        verdict = await asyncio.to_thread(judge, self.ledgers, self.url, may_lose=starved)
        verdict.faults[:0] = self._found()
        return verdict

    async def _lane(self, waiting: Iterator[Fault], count: int) -> None:
        for fault in waiting:
            await asyncio.sleep(fault.pause)
            self.inflicted.append(fault)
            self._say(f"{len(self.inflicted)}/{count} {fault}")
            await inflict(fault, self, latency=self.size.scale.latency)

    async def _made_some(self) -> None:
        """Returns when every device makes readings, and some of them are stored."""
        async with asyncio.timeout(STARTS_WITHIN):
            while True:
                states = [self._state(name) for name in self.devices]
                stored = await asyncio.to_thread(stored_counts, self.url)
                if stored and all(state is not None and state.made for state in states):
                    return
                await asyncio.sleep(0.1)

    async def _settled(self) -> list[str]:
        """Returns when all readings are made and acknowledged; says what is left if that takes too long."""
        deadline, before = time.monotonic() + self.size.settle, -1
        while True:
            states = {name: self._state(name) for name in self.devices}
            left = [name for name, state in states.items() if not self._is_done(state)]
            if not left:
                return []
            made = sum(state.made for state in states.values() if state is not None)
            if made != before:  # the readings are still being made
                deadline, before = time.monotonic() + self.size.settle, made
            if time.monotonic() > deadline:
                stored = await asyncio.to_thread(stored_counts, self.url)
                return [
                    f"{name}: not settled after {self.size.settle:g} s: {states[name]}, "
                    f"{stored.get(name, 0)} are stored"
                    for name in left
                ]
            await asyncio.sleep(0.1)

    def _is_done(self, state: DeviceState | None) -> bool:
        return state is not None and (state.made, state.pending, state.buffered) == (self.size.readings, 0, 0)

    def _state(self, name: str) -> DeviceState | None:
        try:
            return DeviceState.model_validate_json((self._path(f"{name}.state")).read_text())
        except (OSError, ValidationError):
            return None

    # Setting up.

    async def _set_up(self, stack: AsyncExitStack) -> None:
        size = self.size
        house = await self._through_proxy(CONTROLLER, self.server.controller, stack)
        self.keeper = self._process(
            CONTROLLER,
            "tests.chaos.keeper",
            KeeperConfig(account=house, store=self.url, quick=size.quick, constants=dict(size.constants)),
        )
        names = [f"d{index}" for index in range(1, size.devices + 1)]
        if size.starved is not None:
            names.append(STARVED)
        async for name, account in self._device_accounts(names):
            self._add(name, await self._through_proxy(name, account, stack))
        await self.server.restart()  # what was made is on the server's disk now

    def _add(self, name: str, account: Path) -> None:
        size = self.size
        self.ledgers[name] = self._path(f"{name}.ledger")
        self.ledgers[name].touch()
        config = DeviceConfig(
            account=account,
            quick=size.quick,
            constants=dict(size.constants),
            outbox=self._path(f"{name}.outbox.db"),
            outbox_bytes=size.starved if name == STARVED else None,
            ledger=self.ledgers[name],
            state=self._path(f"{name}.state"),
            readings=size.readings,
            rate=size.rate,
            batch=size.batch,
        )
        self.devices[name] = self._process(name, "tests.chaos.device", config)

    def _processes(self) -> list[Process]:
        return [self.keeper, *self.devices.values()]
