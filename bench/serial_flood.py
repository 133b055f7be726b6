"""A board that prints without end: `python bench/serial_flood.py`.

A process writes lines to a pty as fast as the pty takes them; the serial driver reads them, and gives its
values to a consumer that takes each. Meanwhile the loop's lag is measured, and how the memory grows after the
first quarter. The last lines are the verdict.
"""

import argparse
import asyncio
import os
import sys
import time
import tty
from pathlib import Path

from samples import percentile

from firmware_bridge.driver import SerialDriver
from iotxmpp.profiles import profile_of

LEAST = 100_000
"""Lines a second that go through at least."""

LAG = 0.1
"""Seconds that the loop may be late in 99 of 100 turns."""

GROWTH = 2.0
"""Megabytes that the process may grow by: the allocator's own play, not a queue's."""

FLOOD = """
import os, sys, time
port, seconds = int(sys.argv[1]), float(sys.argv[2])
block, written = b"t=21.5 h=40\\n" * 300, 0
end = time.monotonic() + seconds
while time.monotonic() < end:
    written += os.write(port, block)
print(written // 12)
"""


def memory() -> float:
    """Megabytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def flood(seconds: float) -> bool:
    """Prints what becomes of a flood; whether the goals are reached."""
    profile = profile_of(
        {
            "schema": 1,
            "id": "flood",
            "version": "1.0.0",
            "driver": {"kind": "serial"},
            "readings": {
                "t": {"type": "float"},
                "h": {"type": "float"},
                "dropped": {"type": "int", "source": {"link": "dropped"}},
            },
        },
        "bench",
    )
    master, slave = os.openpty()
    tty.setraw(slave)
    settings = {"port": os.ttyname(slave), "protocol": "text", "reset_wait": 0.1}
    taken, lags, sizes = 0, [], []

    async def take(driver: SerialDriver) -> None:
        nonlocal taken
        async for _ in driver.samples():
            taken += 1

    async with SerialDriver(profile=profile, settings=settings) as driver:
        taking = asyncio.create_task(take(driver))
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FLOOD, str(master), str(seconds)),
            pass_fds=[master],
            stdout=asyncio.subprocess.PIPE,
        )
        ended = asyncio.create_task(child.communicate())
        while not ended.done():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - began - 0.01)
            sizes.append(memory())
        written = int(ended.result()[0])
        dropped = int(str((await driver.read())["dropped"]))
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        os.set_blocking(master, False)
    os.close(master)
    os.close(slave)
    grown = max(sizes) - sizes[len(sizes) // 4]
    late = percentile(lags, 99)
    print(f"{written / seconds:,.0f} lines a second went through the pty, for {seconds:g} s")
    replaced = dropped / 2 / seconds
    print(f"{taken / seconds:,.0f} samples a second were taken, {replaced:,.0f} replaced by newer ones")
    print(f"the loop was late by p50 {percentile(lags, 50) * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms")
    print(f"memory: {sizes[len(sizes) // 4]:.1f} MB after a quarter of the time, {max(sizes):.1f} MB at most")
    rate = written / seconds
    print(f"{rate:,.0f} lines a second, at least {LEAST:,}: {'reached' if rate >= LEAST else 'MISSED'}")
    print(f"lag p99 {late:.3f} s, under {LAG:g}: {'reached' if late < LAG else 'MISSED'}")
    print(f"growth {grown:.1f} MB, at most {GROWTH:g}: {'reached' if grown <= GROWTH else 'MISSED'}")
    return rate >= LEAST and late < LAG and grown <= GROWTH


def main() -> None:
    """Measures, prints, and fails if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    sys.exit(0 if asyncio.run(flood(parser.parse_args().seconds)) else 1)


if __name__ == "__main__":
    main()
