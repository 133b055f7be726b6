"""What a device pays: the memory of an agent's process, and what is never loaded into it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from iotxmpp.server import ServerProcess
from tests.live.site import PATIENCE, Site, nodes_of

MOST_MEMORY = 45_000_000
"""Bytes that an agent's process may have in memory."""

NEVER = (
    "cryptography",
    "iotxmpp.controller",
    "prometheus_client",
    "pygments.lexers",  # its parent shows up as an attempt: slixmpp asks whether it is there
    "rich",
    "sqlalchemy",
    "typer",
)
"""What belongs to controllers, servers and people; an agent has no use for it."""


@asynccontextmanager
async def running_agent(
    server: ServerProcess, folder: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`iotxmpp agent run` for a simulated BME280, once its third pack of readings has arrived."""
    async with Site(server, folder) as site:
        controller = await site.account("controller")
        device = await site.device("climate", controller)
        device.save(folder / "account.toml")
        file = folder / "agent.toml"
        file.write_text('account = "account.toml"\nprofile = "bme280"\nevery = 0.1\n', encoding="utf-8")
        items: asyncio.Queue[object] = asyncio.Queue()
        link = await site.link(controller)
        await link.subscribe(nodes_of(device).readings, items.put)
        with (folder / "console").open("wb") as console:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *options, "-m", "iotxmpp", "-v", "agent", "run", str(file)),
                stdout=console,
                stderr=console,
            )
        try:
            async with asyncio.timeout(PATIENCE):
                for _ in range(3):
                    await items.get()
            yield process
        finally:
            process.terminate()
            await process.wait()


async def test_an_agent_stays_small(prosody: ServerProcess, tmp_path: Path) -> None:
    async with running_agent(prosody, tmp_path) as process:
        resident = memory_of(process.pid)
    assert 10_000_000 < resident < MOST_MEMORY


async def test_an_agent_loads_nothing_that_it_has_no_use_for(prosody: ServerProcess, tmp_path: Path) -> None:
    async with running_agent(prosody, tmp_path, "-X", "importtime"):
        pass
    console = (tmp_path / "console").read_text(encoding="utf-8")
    loaded = {line.split("|")[2].strip() for line in console.splitlines() if line.startswith("import time:")}
    assert {"iotxmpp.agent.running", "slixmpp", "slixmpp.plugins.xep_0198"} <= loaded
    assert not {name for name in loaded for each in NEVER if name == each or name.startswith(f"{each}.")}


def memory_of(pid: int) -> int:
    """The bytes of a process that are in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmRSS"].removesuffix("kB")) * 1024
