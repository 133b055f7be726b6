"""What the serial link adds: `python bench/serial_latency.py`.

A call through the link is compared with the same number of raw bytes, there and back, in two ways. Through
the loop: written to the same serial port of the same library, and the answer awaited as a future; whoever
serves more than a port at once pays that, and the goal is against it. Blocking: `os.write` and `os.read` at
another pty with the same far end, while nothing else runs: the least that Python can do. One after the other,
in turn. The far end is a process of its own, as a board is another machine; its answers are ready. Then the
time from a line on a pty to the handler of a controller at a private Prosody. The last lines are the verdict.
"""

import argparse
import asyncio
import os
import select
import sys
import tempfile
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from accounts import AGENT, make_accounts
from samples import percentile

from firmware_bridge.board import BoardSession
from firmware_bridge.driver import SerialDriver
from firmware_bridge.events import Outcome
from firmware_bridge.link import Link
from firmware_bridge.port import Port, Receiver, open_port
from iotxmpp import Agent, Controller, Reading
from iotxmpp.agent.profiled import equip
from iotxmpp.profiles import profile_of
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec

SYNCED_AFTER = 1.0
"""Seconds in which the board's clock is asked for, so that nothing else is on the line."""

QUIET = 0.3
"""Seconds without a byte after which a board has said what it says at its start."""

TIMES = 2.0
MILLISECONDS = 15.0
BAUD = 115_200

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
raw, back = bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4])
answers[raw] = back
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
"""A board whose answers are ready, to raw bytes and to calls: its own program is not measured."""

LINES = """
import os, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
while b"hello" not in os.read(port, 4096):
    pass
os.write(port, b"@hello id=stamp-1 name=stamp version=1.0.0\\n")
time.sleep(0.5)
for _ in range(count):
    os.write(port, b"stamp=%d\\n" % time.monotonic_ns())
    time.sleep(0.11)
time.sleep(1)
"""
"""It answers the hello before it begins: else its first line might be half a one, and is dropped."""

RAW, BACK = b"\x7f" * 13, b"\x7e" * 10
"""As long as a call and its answer are on the wire."""


class Ends:
    """What hears the port: the link, or raw bytes that are waited for."""

    def __init__(self) -> None:
        self.link: Receiver | None = None
        self._port: Port | None = None
        self._missing = 0
        self._answer: asyncio.Future[None] | None = None

    async def open(self, path: str, link: Receiver) -> Port:
        """Opens the port; the link gets what comes but for raw answers."""
        self.link = link
        self._port = await open_port(path, BAUD, self)
        return self._port

    async def echoed(self) -> None:
        """One round trip of raw bytes."""
        if self._port is None:
            raise RuntimeError("not open")
        self._answer, self._missing = asyncio.get_running_loop().create_future(), len(BACK)
        self._port.write(RAW)
        await self._answer
        self._answer = None

    def received(self, data: bytes) -> None:
        """Takes what came for whoever waits."""
        if self._answer is None:
            if self.link is not None:
                self.link.received(data)
            return
        self._missing -= len(data)
        if self._missing <= 0 and not self._answer.done():
            self._answer.set_result(None)

    def lost(self, error: OSError) -> None:
        """Fails what waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        elif self.link is not None:
            self.link.lost(error)


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


async def called(link: Link) -> None:
    """One call of the board."""
    answer = await link.call("ping", {}, 5.0)
    if answer.outcome is not Outcome.DONE:
        raise RuntimeError(f"the board answers {answer.outcome}: {answer.text}")


async def timed(once: Awaitable[None]) -> float:
    """Microseconds that it takes."""
    began = time.perf_counter_ns()
    await once
    return (time.perf_counter_ns() - began) / 1000


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A pty without any library; its reads wait."""
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)  # one byte ends a read
    try:
        while select.select([port], [], [], QUIET)[0]:  # the board's hello
            os.read(port, 4096)
        yield port
    finally:
        os.close(port)


def blocked(port: int) -> float:
    """One round trip of raw bytes while nothing else runs; the microseconds that it takes."""
    began = time.perf_counter_ns()
    os.write(port, RAW)
    missing = len(BACK)
    while missing > 0:
        missing -= len(os.read(port, missing))
    return (time.perf_counter_ns() - began) / 1000


async def round_trips(count: int, rounds: int) -> float:
    """Prints all and their ratios for each round; returns the ratio to the loop's in the middle."""
    ratios: list[float] = []
    least: list[float] = []
    ends = Ends()
    words = (str(count * rounds + 1), RAW.hex(), BACK.hex())
    async with far_end(BOARD, *words) as board, far_end(BOARD, *words) as bare:
        link = Link(board, BoardSession(protocol="frames", first_call=0), lambda _events: None)
        await link.open(lambda receiver: ends.open(board, receiver), 0.0)
        await link.greeting(lambda _board: True, 5.0)
        while link.session.description is None:  # noqa: ASYNC110  # a bench's own patience
            await asyncio.sleep(0.01)
        await asyncio.sleep(SYNCED_AFTER)
        with opened(bare) as port:
            for number in range(rounds):
                taken = [
                    (blocked(port), await timed(ends.echoed()), await timed(called(link)))
                    for _ in range(count)
                ]
                bytes_alone, raw, own = (percentile([each[way] for each in taken], 50) for way in range(3))
                ratios.append(own / raw)
                least.append(own / bytes_alone)
                print(
                    f"round {number + 1}: p50 of raw bytes blocking {bytes_alone:.0f} us, through the loop"
                    f" {raw:.0f} us, of a call {own:.0f} us: {least[-1]:.2f} and {ratios[-1]:.2f} times"
                )
        await link.close()
    print(f"a call to raw bytes through the loop: {min(ratios):.2f} to {max(ratios):.2f} times")
    print(f"a call to raw bytes blocking: {min(least):.2f} to {max(least):.2f} times")
    return percentile(ratios, 50)


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
    verdict = "reached" if ratio <= TIMES else "MISSED"
    print(f"{ratio:.2f} times raw bytes through the loop, at most {TIMES:g}: {verdict}")
    print(f"p50 {half:.1f} ms, under {MILLISECONDS:g}: {'reached' if half < MILLISECONDS else 'MISSED'}")
    sys.exit(0 if ratio <= TIMES and half < MILLISECONDS else 1)


if __name__ == "__main__":
    main()
