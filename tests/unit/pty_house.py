"""Simulated boards on real ptys: plugged in, pulled out, flooding; and drivers at them."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_bridge.driver import SerialDriver
from firmware_bridge.messages import Parameter
from firmware_bridge.noise import NoisyWire
from firmware_bridge.simulated import RX_BUFFER, SimulatedBoard, SimulatedCommand
from firmware_bridge.values import Kind
from iotxmpp.profiles import Profile, profile_of

if TYPE_CHECKING:
    from iotxmpp.agent.drivers import Sample

QUICK = 0.3
"""Seconds that a board on a pty needs to start at most."""

READINGS: dict[str, Any] = {
    "temperature": {"type": "float", "unit": "Cel", "range": [-40, 85]},
    "humidity": {"type": "float", "unit": "%RH"},
}
SET: dict[str, Any] = {"args": {"number": {"type": "int"}, "note": {"type": "str", "optional": True}}}


def profile(**more: Any) -> Profile:  # noqa: ANN401  # a profile's own keys
    table = {
        "schema": 1,
        "id": "sim",
        "version": "1.0.0",
        "driver": {"kind": "serial"},
        "readings": READINGS,
        "commands": {"set": SET},
    }
    return profile_of(table | more, "test")


def set_command(**more: Any) -> SimulatedCommand:  # noqa: ANN401  # a command's own keys
    return SimulatedCommand(
        name="set",
        run=lambda arguments: arguments["number"],
        parameters=(
            Parameter(kind=Kind.INT, name="number"),
            Parameter(kind=Kind.STR, name="note", optional=True),
        ),
        **more,
    )


def board(**more: Any) -> SimulatedBoard:  # noqa: ANN401  # a board's own arguments
    return SimulatedBoard(**{"every": 0.05, "commands": (set_command(),), **more})


class Plugged:
    """A board on a pty.

    Args:
        board: The board.
        path: The link that leads to the pty, as a port's name.
        up: What bytes to the host go through.
        down: What bytes to the board go through.
    """

    def __init__(
        self,
        board: SimulatedBoard,
        path: Path,
        *,
        up: NoisyWire | None = None,
        down: NoisyWire | None = None,
    ) -> None:
        self.board, self.path = board, path
        self.up, self.down = up or NoisyWire(1), down or NoisyWire(2)
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        path.symlink_to(os.ttyname(self._slave))
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._plugged = True
        board.start(self._loop.time())
        self._loop.add_reader(self.master, self._readable)
        self._turn()

    def pull(self) -> None:
        """Pulls it out: the port vanishes."""
        if not self._plugged:
            return
        self._plugged = False
        self._loop.remove_reader(self.master)
        if self._timer is not None:
            self._timer.cancel()
        self.path.unlink()
        os.close(self.master)
        os.close(self._slave)

    def write(self, data: bytes) -> None:
        """Sends as the board; what the pty does not take is lost."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.master, data)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = self.down.carry(os.read(self.master, 4096))
            for start in range(0, len(data), RX_BUFFER):
                self.board.receive(data[start : start + RX_BUFFER], self._loop.time())
                self.board.tick(self._loop.time())
        self._turn()

    def _turn(self) -> None:
        if not self._plugged:
            return
        if self._timer is not None:
            self._timer.cancel()
        self.board.tick(self._loop.time())
        data = self.up.carry(self.board.outgoing())
        if data:
            self.write(data)
        due = self.board.next_timeout()
        self._timer = None if due is None else self._loop.call_at(due, self._turn)


@contextmanager
def plugged(board: SimulatedBoard, path: Path, **more: Any) -> Iterator[Plugged]:  # noqa: ANN401  # its own
    house = Plugged(board, path, **more)
    try:
        yield house
    finally:
        house.pull()


def driver(port: object, profile_: Profile | None = None, **settings: object) -> SerialDriver:
    given = {"port": str(port), "reset_wait": QUICK, **settings}
    return SerialDriver(profile=profile_ or profile(), settings=given)


class Taken:
    """What a driver gave, and how it ended."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.error: BaseException | None = None

    def values(self, channel: str) -> list[object]:
        return [each.values[channel] for each in self.samples if channel in each.values]


@asynccontextmanager
async def taking(driver: SerialDriver) -> AsyncIterator[Taken]:
    """Takes what an opened driver gives."""
    taken = Taken()

    async def take() -> None:
        try:
            async for sample in driver.samples():
                if sample.values:  # one without says that the board works
                    taken.samples.append(sample)
        except OSError as error:
            taken.error = error

    task = asyncio.create_task(take())
    try:
        yield taken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Returns as soon as the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # conditions of many kinds have no event in common
            await asyncio.sleep(0.005)
