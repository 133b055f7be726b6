"""What a device pays: the memory of an agent's process, and what is never loaded into it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from iotxmpp.agent.outbox.inspection import waiting
from iotxmpp.agent.outbox.rows import place_of
from iotxmpp.agent.outbox.schema import open_file
from iotxmpp.server import ServerProcess
from tests.live.site import PATIENCE, Site, nodes_of

MOST_MEMORY = 44 * 2**20
"""Bytes that an agent's process may have in memory; MB as `ps` and `top` count them."""

MOST_MEMORY_OF_A_SCRIPT = 43 * 2**20
"""Likewise for a script with five sensors: it has no profile, whose rules take 1 MB."""

MOST_MEMORY_WITH_BACKLOG = 60 * 2**20
"""Likewise with a million readings in its outbox."""

BACKLOG = 1_000_000

NEVER = (
    "bz2",  # by shutil, as lzma
    "cryptography",
    "email",  # by importlib.metadata, which is not asked either
    "difflib",  # for suggestions where somebody made a mistake
    "iotxmpp.controller",
    "iotxmpp.xmpp.provisioner",
    "lzma",
    "prometheus_client",
    "pycares",  # aiodns, which brings it, shows up as an attempt as well
    "pygments.lexers",  # its parent shows up as an attempt: slixmpp asks whether it is there
    "rich",
    "slixmpp.thirdparty.gnupg",
    "sqlalchemy",
    "tempfile",  # for accounts that are written
    "typer",
)
"""What belongs to controllers, servers and people, or asks DNS; an agent that knows its host needs none."""

AGENT = f"""
account = "account.toml"
profile = "bme280"
driver.kind = "simulated"
every = 0.1

[outbox]
path = "outbox.db"
bytes = {256 * 2**20}
"""

SCRIPT = """
from pathlib import Path
from iotxmpp import Account, Agent

agent = Agent(Account.load(Path("account.toml")), outbox="outbox.db")
for number in range(5):
    @agent.sensor(f"temperature/{number}", unit="Cel", every=0.1)
    def read() -> float:
        return 21.5
agent.run()
"""


@asynccontextmanager
async def running_agent(
    server: ServerProcess, folder: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`iotxmpp agent run` for a simulated BME280, once its third pack of readings has arrived."""
    file = folder / "agent.toml"
    file.write_text(AGENT, encoding="utf-8")
    command = (*options, "-m", "iotxmpp", "-v", "agent", "run", str(file))
    async with running_device(server, folder, *command) as process:
        yield process


@asynccontextmanager
async def running_device(
    server: ServerProcess, folder: Path, *command: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Python with these arguments, once its third pack of readings has arrived; the folder has an account."""
    async with Site(server, folder) as site:
        controller = await site.account("controller")
        device = await site.device("climate", controller)
        device.save(folder / "account.toml")
        items: asyncio.Queue[object] = asyncio.Queue()
        link = await site.link(controller)
        await link.subscribe(nodes_of(device).readings, items.put)
        with (folder / "console").open("wb") as console:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *command), cwd=folder, stdout=console, stderr=console
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


async def test_a_script_stays_smaller(prosody: ServerProcess, tmp_path: Path) -> None:
    script = tmp_path / "device.py"
    script.write_text(SCRIPT, encoding="utf-8")
    async with running_device(prosody, tmp_path, str(script)) as process:
        resident = memory_of(process.pid)
    assert 10_000_000 < resident < MOST_MEMORY_OF_A_SCRIPT


async def test_a_backlog_costs_no_memory(prosody: ServerProcess, tmp_path: Path) -> None:
    fill(tmp_path / "outbox.db", BACKLOG)
    async with running_agent(prosody, tmp_path) as process:
        resident = memory_of(process.pid)
    assert 10_000_000 < resident < MOST_MEMORY_WITH_BACKLOG
    assert sum(channel.readings for channel in waiting(tmp_path / "outbox.db")) > BACKLOG


async def test_an_agent_loads_nothing_that_it_has_no_use_for(prosody: ServerProcess, tmp_path: Path) -> None:
    async with running_agent(prosody, tmp_path, "-X", "importtime"):
        pass
    console = (tmp_path / "console").read_text(encoding="utf-8")
    loaded = {line.split("|")[2].strip() for line in console.splitlines() if line.startswith("import time:")}
    assert {"iotxmpp.agent.running", "slixmpp", "slixmpp.plugins.xep_0198"} <= loaded
    assert not {name for name in loaded for each in NEVER if name == each or name.startswith(f"{each}.")}


def fill(path: Path, readings: int) -> None:
    """Makes an outbox with the readings of an earlier run, from the last hour."""
    with closing(open_file(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO epochs (id, name, boot) VALUES (1, 'abcdef012345', 'a boot before')")
        connection.execute("INSERT INTO channels VALUES (1, 'temperature', 'Cel')")
        connection.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :readings)"
            " INSERT INTO readings (place, channel, time, kind, value)"
            " SELECT :before + n, 1, :since + 3600.0 * n / :readings, 0, n / 10.0"
            " FROM numbers",
            {"readings": readings, "before": place_of(1, 0), "since": time.time() - 3600},
        )
        connection.execute("COMMIT")


def memory_of(pid: int) -> int:
    """The bytes of a process that are in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmRSS"].removesuffix("kB")) * 1024
