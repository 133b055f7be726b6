"""What the outbox costs: bytes written to disk a reading, memory with a large backlog, and readings a second.

`python bench/outbox.py [--seconds 30] [--backlog 1000000]`
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from iotxmpp.agent.clock import Clock
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.rows import LAST
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.outbox.settings import Limits
from iotxmpp.agent.presence import Problems


def written() -> int:
    """Bytes that this process has caused to be written to storage."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def resident() -> float:
    """The process's resident memory, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def make_keeper(path: Path | None, epoch: str) -> Keeper:
    """A keeper of an outbox on disk, or in memory."""
    limits = Limits(bytes=256 * 2**20)
    outbox = SafeOutbox(path, limits=limits, memory_limits=limits, problems=Problems())
    return Keeper(outbox, clock=Clock(), epoch=epoch)


async def steady(path: Path, seconds: float) -> dict[str, float]:
    """A hundred readings a second, each acknowledged about a second later."""
    keeper = make_keeper(path, "steady")
    await keeper.open()
    running = asyncio.create_task(keeper.run())
    loop = asyncio.get_running_loop()
    before, due, count = written(), loop.time(), 0
    while count < seconds * 100:
        keeper.take({"temperature": (20 + count % 100 / 10, "Cel")})
        count += 1
        if count % 50 == 0 and count > 100:
            keeper.acknowledge({"steady": count - 100})
        due += 0.01
        await asyncio.sleep(due - loop.time())
    running.cancel()
    await keeper.close()
    return {"bytes a reading": (written() - before) / count, "readings": count}


async def backlog(path: Path, readings: int) -> dict[str, float]:
    """Memory after so many readings were taken, and after they were read again by pages."""
    keeper = make_keeper(path, "backlog")
    await keeper.open()
    running = asyncio.create_task(keeper.run())
    started = time.monotonic()
    for count in range(readings):
        reading = {"temperature": (count / 10, "Cel")}
        if count % 1000 == 0 or count == readings - 1:
            await keeper.keep(reading)
        else:
            keeper.take(reading)
    took = time.monotonic() - started
    running.cancel()
    await keeper.close()
    keeper = make_keeper(path, "reopened")
    opening = time.monotonic()
    await keeper.open()
    opened = time.monotonic() - opening
    place = pages = 0
    while rows := await keeper.page(place, LAST, 500):
        place, pages = rows[-1].place + 1, pages + len(rows)
    result = {
        "held": keeper.held,
        "paged": pages,
        "RSS MB": resident(),
        "readings a second": readings / took,
        "seconds to open": opened,
        "file MB": os.stat(path).st_size / 2**20,  # noqa: PTH116  # nothing else runs
    }
    await keeper.close()
    return result


async def rate(path: Path | None, readings: int) -> dict[str, float]:
    """Readings that are published and committed in a second, by a hundred tasks that wait for each."""
    keeper = make_keeper(path, "rate")
    await keeper.open()
    running = asyncio.create_task(keeper.run())

    async def produce() -> None:
        for count in range(readings // 100):
            await keeper.keep({"temperature": (count / 10, "Cel")})

    started = time.monotonic()
    await asyncio.gather(*(produce() for _ in range(100)))
    took = time.monotonic() - started
    running.cancel()
    await keeper.close()
    return {"readings a second": readings / took}


async def _measure(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "outbox.db"
        if name == "steady":
            return await steady(path, arguments.seconds)
        if name == "backlog":
            return await backlog(path, arguments.backlog)
        return await rate(path if name == "rate, on disk" else None, 50_000)


def main() -> None:
    """Measures each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if arguments.one:
        print(json.dumps(asyncio.run(_measure(arguments.one, arguments))))
        return
    for name in ("steady", "backlog", "rate, on disk", "rate, in memory"):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
        numbers = json.loads(done.stdout)
        print(f"{name}: " + ", ".join(f"{key} {value:,.1f}" for key, value in numbers.items()), flush=True)


if __name__ == "__main__":
    main()
