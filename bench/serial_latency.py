"""What the serial link adds: `python bench/serial_latency.py`.

A call through the link, to a board on a pty, is compared with as many raw bytes that are echoed over the same
kind of pty; both far ends are processes of their own. Then the time from a line on the pty to the handler of a
controller at a private Prosody. The last lines are the verdict.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from accounts import AGENT, make_accounts
from samples import percentile

from firmware_bridge.board import BoardSession
from firmware_bridge.driver import SerialDriver
from firmware_bridge.events import Outcome
from firmware_bridge.link import Link
from firmware_bridge.port import Port, open_port
from iotxmpp import Agent, Controller, Reading
from iotxmpp.agent.profiled import equip
from iotxmpp.profiles import profile_of
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec

TIMES = 2.0
MILLISECONDS = 15.0
BAUD = 115_200

ECHO = """
import os, sys
port = int(sys.argv[1])
while data := os.read(port, 4096):
    os.write(port, data)
"""

BOARD = """
import os, sys, time
from firmware_bridge.frames import encode_frame
from firmware_bridge.messages import Call, Result, Status, write_message
from firmware_bridge.simulated import SimulatedBoard, SimulatedCommand
port, count = int(sys.argv[1]), int(sys.argv[2])
board = SimulatedBoard(every=0, commands=[SimulatedCommand(name="ping", run=lambda arguments: None)])
board.start(time.monotonic())
answers = {
    encode_frame(write_message(Call(call=call, boot=board.boot, index=0))): encode_frame(
        write_message(Result(call=call, status=Status.DONE))
    )
    for call in range(count)
}
while data := os.read(port, 4096):
    answer = answers.get(data)
    if answer is None:
        now = time.monotonic()
        for start in range(0, len(data), 64):
            board.receive(data[start : start + 64], now)
            board.tick(now)
        answer = board.outgoing()
    os.write(port, answer)
"""
"""A board whose answers are ready: what its own program would cost is not the link's."""

LINES = """
import os, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
os.write(port, b"# ready\\n@hello id=stamp-1 name=stamp version=1.0.0\\n")
time.sleep(1)
for _ in range(count):
    os.write(port, b"stamp=%d\\n" % time.monotonic_ns())
    time.sleep(0.11)
time.sleep(1)
"""


class Raw:
    """Gets raw bytes back."""

    def __init__(self) -> None:
        self.wanted = 0
        self.answer: asyncio.Future[None] | None = None

    def received(self, data: bytes) -> None:
        """Counts them."""
        self.wanted -= len(data)
        if self.wanted <= 0 and self.answer is not None and not self.answer.done():
            self.answer.set_result(None)

    def lost(self, error: OSError) -> None:
        """Fails what waits."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)


@asynccontextmanager
async def far_end(script: str, *words: str) -> AsyncIterator[str]:
    """A process at the far end of a pty; gives the port."""
    master, slave = os.openpty()
    tty.setraw(slave)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(master), *words, pass_fds=[master]
    )
    try:
        yield os.ttyname(slave)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        os.close(master)
        os.close(slave)


async def echoed(port: Port, raw: Raw, data: bytes) -> None:
    """One round trip of raw bytes."""
    raw.wanted, raw.answer = len(data), asyncio.get_running_loop().create_future()
    port.write(data)
    await raw.answer


async def called(link: Link) -> None:
    """One call of the board."""
    answer = await link.call("ping", {}, 5.0)
    if answer.outcome is not Outcome.DONE:
        raise RuntimeError(f"the board answers {answer.outcome}: {answer.text}")


async def timed(once: Callable[[], Awaitable[None]], count: int) -> list[float]:
    """Microseconds of each of so many, one after the other."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        await once()
        times.append((time.perf_counter_ns() - began) / 1000)
    return times


async def round_trips(count: int, rounds: int) -> float:
    """Prints both; returns how many times the raw one the link takes, by the medians of the best rounds."""
    raw, frame = Raw(), b"x" * 14
    plain: list[float] = []
    link_: list[float] = []
    async with far_end(ECHO) as echo, far_end(BOARD, str(count * rounds + 1)) as board:
        port = await open_port(echo, BAUD, raw)
        link = Link(board, BoardSession(protocol="frames", first_call=0), lambda _events: None)
        await link.open(partial(open_port, board, BAUD), 0.0)
        await link.greeting(lambda _board: True, 5.0)
        while link.session.description is None:  # noqa: ASYNC110  # a bench's own patience
            await asyncio.sleep(0.01)
        for _ in range(rounds):
            plain.append(percentile(await timed(lambda: echoed(port, raw, frame), count), 50))
            link_.append(percentile(await timed(lambda: called(link), count), 50))
        await link.close()
        await port.close()
    print(f"raw bytes echoed: p50 {min(plain):.0f} us; a call through the link: p50 {min(link_):.0f} us")
    return min(link_) / min(plain)


async def to_the_handler(count: int) -> float:
    """Prints the times from a line to the handler; returns the p50 in milliseconds."""
    profile = profile_of(
        {
            "schema": 1,
            "id": "stamp",
            "version": "1.0.0",
            "driver": {"kind": "serial"},
            "readings": {"stamp": {"type": "int", "on_change": True}},
        },
        "bench",
    )
    times: list[float] = []
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        async with ServerProcess(ServerSpec(kind=ServerKind.PROSODY, directory=Path(home))) as server:
            accounts = await make_accounts(server)
            controller = Controller(
                server.controller, devices=[AGENT], store=f"sqlite:///{Path(folder) / 'controller.db'}"
            )

            @controller.on_reading("stamp")
            async def took(reading: Reading) -> None:
                times.append((time.monotonic_ns() - int(reading.value)) / 1e6)

            async with controller, far_end(LINES, str(count)) as port:
                settings = {"port": port, "protocol": "text", "reset_wait": 0.1}
                agent = Agent(accounts.agent, outbox="memory")
                equip(agent, profile, lambda: SerialDriver(profile=profile, settings=settings))
                async with agent:
                    await asyncio.sleep(count * 0.12 + 3)
    half, most = percentile(times, 50), percentile(times, 90)
    print(f"a line to the handler: p50 {half:.1f} ms, p90 {most:.1f} ms, {len(times)} of {count} lines")
    return half


def main() -> None:
    """Measures, prints, and fails if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=60)
    options = parser.parse_args()
    ratio = asyncio.run(round_trips(options.count, options.rounds))
    half = asyncio.run(to_the_handler(options.lines))
    print(f"ratio {ratio:.2f}, at most {TIMES:g}: {'reached' if ratio <= TIMES else 'MISSED'}")
    print(f"p50 {half:.1f} ms, under {MILLISECONDS:g}: {'reached' if half < MILLISECONDS else 'MISSED'}")
    sys.exit(0 if ratio <= TIMES and half < MILLISECONDS else 1)


if __name__ == "__main__":
    main()
