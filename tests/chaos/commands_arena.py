"""Commands to devices in child processes, cuts and kills on their way, and the judge's verdict."""

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from iotxmpp.account import Account
from iotxmpp.controller.store import Store
from iotxmpp.controller.store.commands import CommandRows
from iotxmpp.server import ServerKind
from tests.chaos.commands_caller import ALL, read_notes
from tests.chaos.commands_child import CallerConfig, CommandDeviceConfig
from tests.chaos.commands_judge import CommandVerdict, judge_commands, read_ledgers
from tests.chaos.commands_plan import Blow, Shares, Step, draw
from tests.chaos.process import Process
from tests.chaos.stage import Stage

CALLER = "caller"
CUT_WITHIN = 1.0
DIES_WITHIN = 5.0
SHOW_EVERY = 10.0

CommandMutation = Literal["journal"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandSize:
    """How large a run is.

    Attributes:
        commands: How many commands.
        devices: To how many devices.
        shares: What befalls them.
        resume: Seconds for which the server keeps a cut session; None for its own choice.
        stall: Seconds without a command that ends, after which the run is given up.
        constants: As in `ChildConfig`.
    """

    commands: int
    devices: int
    shares: Shares = field(default_factory=Shares)
    resume: int | None = None
    stall: float = 180.0
    constants: Mapping[str, float] = field(default_factory=dict)


class CommandArena(Stage):
    """A server, its devices, and a controller that gives them commands.

    Args:
        kind: Which server.
        size: How large.
        folder: Where everything is kept; any user must be able to enter it.
        seed: Of the commands and of what befalls them.
        say: Told what happens.
        mutate: What is broken on purpose.
    """

    def __init__(  # noqa: PLR0913  # each is a choice of its own
        self,
        kind: ServerKind,
        size: CommandSize,
        folder: Path,
        *,
        seed: int,
        say: Callable[[str], None] = log.info,
        mutate: CommandMutation | None = None,
    ) -> None:
        super().__init__(kind, folder, resume=size.resume)
        names = [f"d{index}" for index in range(1, size.devices + 1)]
        self.steps: list[Step] = draw(seed, size.commands, names, size.shares)
        self.inflicted: Counter[str] = Counter()
        self._size = size
        self._seed = seed
        self._names = names
        self._say = say
        self._mutate = mutate
        self._devices: dict[str, Process] = {}
        self._blows = {step.token: step for step in self.steps if step.blow is not None}
        self._striking: set[asyncio.Task[None]] = set()
        self._house = ""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends everything, first what would strike yet."""
        for task in self._striking:
            task.cancel()
        await asyncio.gather(*self._striking, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    async def run(self) -> CommandVerdict:
        """Lets the controller give all commands, waits until all have ended, and judges."""
        for process in self._processes():
            self._start(process)
        await self._until_all_ended()
        while self._striking:  # a late blow; whoever was hit comes back
            await asyncio.wait(self._striking)
        await self._until_all_ended()
        await self._until_ready()
        for process in self._processes():
            await process.end()
        verdict = await asyncio.to_thread(self._judge)
        verdict.faults[:0] = self._found()
        return verdict

    def _judge(self) -> CommandVerdict:
        store = Store(f"sqlite:///{self._path('store.db')}")
        try:
            queued = CommandRows(store.database, self._house).find(limit=ALL)
        finally:
            store.close()
        ran = read_ledgers(self._path(f"{name}.ledger") for name in self._names)
        return judge_commands(self.steps, ran, queued, read_notes(self._path("notes")))

    async def _until_all_ended(self) -> None:
        ended, since, shown = 0, time.monotonic(), 0.0
        while ended < len(self.steps):
            await asyncio.sleep(0.1)
            now, before = time.monotonic(), ended
            ended = self._ended()
            if ended != before:
                since = now
            if now - since > self._size.stall:
                self.faults.append(f"nothing has ended for {self._size.stall:g} s; {ended} have")
                return
            if now - shown > SHOW_EVERY:
                shown = now
                blows = ", ".join(f"{what} {count}" for what, count in sorted(self.inflicted.items()))
                self._say(f"{ended} of {len(self.steps)} have ended; {blows}")

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + self._size.stall
        while not all(self._ready(process.name).exists() for process in self._processes()):
            if time.monotonic() > deadline:
                self.faults.append("not all processes started again")
                return
            await asyncio.sleep(0.1)

    def _ended(self) -> int:
        try:
            return int(self._path("progress").read_text())
        except FileNotFoundError:
            return 0

    # What befalls a command.

    async def _told(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = self._blows.pop(int(await reader.readline() or b"0"), None)
        if step is not None and step.blow is not None:
            self._arm(step.blow, step.device)
        writer.write(b"go\n")
        writer.close()

    def _arm(self, blow: Blow, device: str) -> None:
        """Gets a blow ready; what must not come late is ready when this returns."""
        self.inflicted[blow.what] += 1
        target = device if blow.side == "device" else CALLER
        if blow.what == "cut":
            self._proxies[target].cut_after(blow.count)
        strike = self._kill(blow, target) if blow.what.startswith("kill") else self._cut(blow, target)
        if blow.label:
            self._armed(target).write_text(blow.label)
        task = asyncio.create_task(strike)
        self._striking.add(task)
        task.add_done_callback(self._striking.discard)

    async def _cut(self, blow: Blow, target: str) -> None:
        proxy = self._proxies[target]
        await asyncio.sleep(blow.delay)
        match blow.what:
            case "black-hole":
                proxy.black_hole()
                await asyncio.sleep(blow.seconds)
                proxy.reset()  # what waited in the hole is lost
                proxy.resume()
            case "cut":
                await asyncio.sleep(CUT_WITHIN)
                proxy.resume()
            case _:
                proxy.reset()

    async def _kill(self, blow: Blow, target: str) -> None:
        process = self._caller if target == CALLER else self._devices[target]
        async with process.lock:
            if blow.label and await _dies(process):
                self.inflicted[blow.label] += 1
            else:
                await asyncio.sleep(blow.delay)
                await process.kill(armed=bool(blow.label))
            self._armed(target).unlink(missing_ok=True)
            if target == CALLER:
                self._path("progress").unlink(missing_ok=True)  # it says so again
            self._start(process)

    def _ready(self, target: str) -> Path:
        return self._path(f"{target}.ready")

    def _armed(self, target: str) -> Path:
        return self._path(f"{target}.armed")

    # Setting up.

    def _start(self, process: Process) -> None:
        self._ready(process.name).unlink(missing_ok=True)
        takes = process is not self._caller and self._mutate is not None
        process.start(*(("--mutate", str(self._mutate)) if takes else ()))

    async def _set_up(self, stack: AsyncExitStack) -> None:
        controller = self.server.controller
        self._house = controller.jid
        self._path("notes").touch()
        caller = CallerConfig(
            **await self._common(CALLER, controller, stack),
            store=f"sqlite:///{self._path('store.db')}",
            armed=self._armed(CALLER),
            ready=self._ready(CALLER),
            notes=self._path("notes"),
            progress=self._path("progress"),
            herald=self._path("herald"),
            seed=self._seed,
            count=self._size.commands,
            devices=self._names,
            shares=self._size.shares,
        )
        self._caller = self._process(CALLER, "tests.chaos.commands_caller", caller)
        async for name, account in self._device_accounts(self._names):
            config = CommandDeviceConfig(
                **await self._common(name, account, stack),
                outbox=self._path(f"{name}.outbox.db"),
                ledger=self._path(f"{name}.ledger"),
                armed=self._armed(name),
                ready=self._ready(name),
            )
            self._devices[name] = self._process(name, "tests.chaos.commands_device", config)
        herald = await asyncio.start_unix_server(self._told, self._path("herald"))
        stack.callback(herald.close)

    async def _common(self, name: str, account: Account, stack: AsyncExitStack) -> dict[str, Any]:
        path = await self._through_proxy(name, account, stack)
        return {"account": path, "quick": True, "constants": dict(self._size.constants)}

    def _processes(self) -> list[Process]:
        return [self._caller, *self._devices.values()]


async def _dies(process: Process) -> bool:
    """Whether it comes to its crash point soon."""
    try:
        async with asyncio.timeout(DIES_WITHIN):
            return await process.wait() == -signal.SIGKILL
    except TimeoutError:
        return False
