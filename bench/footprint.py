"""What a device and a first look cost: memory, time to import, time to the demo's first reading."""

import asyncio
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

from iotxmpp import Account
from iotxmpp.addresses import DeviceNodes, device_id, local_part
from iotxmpp.link import Item
from iotxmpp.server import ServerProcess
from iotxmpp.xmpp import XmppLink

IMPORTS = ("import iotxmpp", "from iotxmpp import Agent", "from iotxmpp import Controller")
PATIENCE = 60.0
_POLL = 0.02
_FIRST_READING = re.compile(r"^iotxmpp_readings_total\{[^}]*\} [1-9]", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One measured number.

    Attributes:
        name: What was measured.
        value: The number.
        unit: Its unit.
        goal: What it has to stay under; None for no goal.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None


async def agent_memory(server: ServerProcess, device: Account, folder: Path, *, seconds: float) -> list[Fact]:
    """Memory of `iotxmpp agent run` for a simulated BME280, some seconds after its first reading.

    Args:
        server: The running server.
        device: The device, which obeys the server's controller.
        folder: Where its files go.
        seconds: How long it runs after its first reading.
    """
    device.save(folder / "account.toml")
    file = folder / "agent.toml"
    file.write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\nevery = 1.0\n',
        encoding="utf-8",
    )
    heard = asyncio.Event()

    async def hear(_item: Item) -> None:
        heard.set()

    async with XmppLink(server.controller) as link:
        nodes = DeviceNodes(service=device.service, device=device_id(local_part(device.jid)))
        await link.subscribe(nodes.readings, hear)
        async with _process("-m", "iotxmpp", "agent", "run", str(file)) as process:
            async with asyncio.timeout(PATIENCE):
                await heard.wait()
            await asyncio.sleep(seconds)
            resident = _megabytes(process.pid, "status", "VmRSS")
            share = _megabytes(process.pid, "smaps_rollup", "Pss")
    name = f"an agent's process over {server.spec.kind}"
    return [
        Fact(name=f"{name}, resident (RSS)", value=resident, unit="MB", goal=45),
        Fact(name=f"{name}, its share of it (PSS)", value=share, unit="MB"),
    ]


def import_times(*, runs: int) -> list[Fact]:
    """The median time of each import, each time in a new interpreter that has started already."""
    return [
        Fact(
            name=f"`{statement}`",
            value=median(_import_time(statement) for _ in range(runs)),
            unit="s",
            goal=0.5 if statement == IMPORTS[0] else None,
        )
        for statement in IMPORTS
    ]


async def demo_start(server: str) -> Fact:
    """The time from the start of `iotxmpp demo` to its controller's first accepted reading.

    Raises:
        RuntimeError: The demo ended before; the text says its last words.
    """
    port = _free_port()
    started = time.monotonic()
    command = ("-m", "iotxmpp", "demo", "--server", server, "--metrics-port", str(port))
    with tempfile.TemporaryFile() as console:
        async with _process(*command, stderr=console) as process, asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(_has_reading, port):
                if process.returncode is not None:
                    console.seek(0)
                    raise RuntimeError(f"the demo ended without a reading: {console.read().decode()}")
                await asyncio.sleep(_POLL)
            took = time.monotonic() - started
    return Fact(name=f"`iotxmpp demo --server {server}` to its first reading", value=took, unit="s", goal=15)


@asynccontextmanager
async def _process(
    *arguments: str, stderr: IO[bytes] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs Python with these arguments until it is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _megabytes(pid: int, file: str, key: str) -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) / 1024  # the kernel counts in KiB
    raise RuntimeError(f"/proc/{pid}/{file} has no {key}")


def _import_time(statement: str) -> float:
    code = f"import time; started = time.perf_counter(); {statement}; print(time.perf_counter() - started)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _has_reading(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer:
            return _FIRST_READING.search(answer.read().decode()) is not None
    except OSError:  # it does not listen yet; urllib.error.URLError is one
        return False
