"""What a service manager is told: over a real socket, by agents in a process of their own."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from iotxmpp import Account, Agent
from iotxmpp.agent import running
from iotxmpp.agent.notify import Pulse, notify, notifying, watchdog
from iotxmpp.agent.presence import Problems
from iotxmpp.agent.sampling import Sampler
from iotxmpp.agent.sensors import Rhythm, Sensor
from iotxmpp.memory import MemoryServer

ROOT = Path(__file__).parents[2]


class Manager:
    """The manager's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The lines that came since the last time."""
        lines = []
        while True:
            try:
                lines += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines

    def until(self, line: str, seconds: float = 20.0) -> list[str]:
        """Everything up to a line."""
        lines: list[str] = []
        deadline = time.monotonic() + seconds
        while line not in lines:
            left = deadline - time.monotonic()
            assert left > 0, f"no {line} in {lines}"
            select.select([self._socket], [], [], left)
            lines += self.heard()
        return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    try:
        yield manager
    finally:
        manager.close()


def test_without_a_manager_nothing_is_sent(tmp_path: Path) -> None:
    assert not notify("READY=1", environ={})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": "relative"})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_lines_go_to_a_path_and_to_an_abstract_name(manager: Manager) -> None:
    assert notify("READY=1", "STATUS=well", environ={"NOTIFY_SOCKET": str(manager.path)})
    assert manager.heard() == ["READY=1", "STATUS=well"]
    name = f"iotxmpp-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        assert notify("STOPPING=1", environ={"NOTIFY_SOCKET": f"@{name}"})
        assert listener.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_time(given: dict[str, str], seconds: float | None) -> None:
    assert watchdog(given) == seconds


async def test_ready_comes_with_the_first_sample_and_stopping_before_the_end(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    monkeypatch.setenv("WATCHDOG_USEC", "60000")
    now = Pulse(text="not yet")
    async with notifying(lambda: now) as stopping:
        await asyncio.sleep(0.3)
        early = manager.heard()
        assert "READY=1" not in early
        assert early.count("STATUS=not yet") == 1
        assert early.count("WATCHDOG=1") >= 3
        now = Pulse(begun=True, text="line\nbreak")
        await asyncio.sleep(0.3)
        begun = manager.heard()
        assert begun.count("READY=1") == 1
        assert r"STATUS=line\nbreak" in begun
        stopping()
        await asyncio.sleep(0.1)
        ending = manager.heard()
        assert "STOPPING=1" in ending
    assert "STOPPING=1" not in manager.heard()


async def test_dead_sampling_gives_no_sign_of_life(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    monkeypatch.setenv("WATCHDOG_USEC", "60000")
    async with notifying(lambda: Pulse(begun=True, alive=False, text="x")):
        await asyncio.sleep(0.3)
        heard = manager.heard()
    assert "WATCHDOG=1" not in heard
    assert any("sampling hangs" in line for line in heard)


async def test_a_sampler_tells_for_how_long_its_function_is_silent() -> None:
    release = asyncio.Event()

    async def slow() -> float:
        await release.wait()
        return 1.0

    rhythm = Rhythm(every=60.0)
    sensor = Sensor(function=slow, channels={}, rhythms={"x": rhythm}, label="slow")
    sampler = Sampler(sensor, take=lambda _: None, problems=Problems())
    assert sampler.silent() == 0
    task = asyncio.create_task(sampler.run())
    await asyncio.sleep(0.1)
    assert sampler.silent() > 0.05
    release.set()
    await asyncio.sleep(0.05)
    assert sampler.silent() == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("others", "alive"), [(0, False), (1, True)])
async def test_sampling_is_dead_when_not_one_sensor_returns(
    monkeypatch: pytest.MonkeyPatch, others: int, alive: bool
) -> None:
    monkeypatch.setattr(running, "STUCK_AFTER", 0.1)
    server = MemoryServer("example.org")
    account = Account(jid="hall@example.org", password=SecretStr("secret"))
    await server.create_account(account.jid, "secret")
    release = asyncio.Event()

    async def hangs() -> float:
        await release.wait()
        return 1.0

    def works() -> float:
        return 2.0

    async with server.link(account) as link:
        agent = Agent(account, link=link, outbox="memory")
        agent.sensor("stuck", unit="Cel", every=0.05)(hangs)
        for number in range(others):
            agent.sensor(f"fine-{number}", unit="Cel", every=0.05)(works)
        assert agent._pulse() == Pulse()
        async with agent:
            await asyncio.sleep(0.3)
            pulse = agent._pulse()
            assert (pulse.begun, pulse.alive) == (True, alive)
            assert pulse.text.startswith(f"connected, {1 + others} sensors")
            release.set()
            await asyncio.sleep(0.1)
            assert agent._pulse().alive


AGENT = """
import asyncio, sys, time
from pydantic import SecretStr
from iotxmpp import Account, Agent
from iotxmpp.memory import MemoryServer

async def main():
    server = MemoryServer("example.org")
    account = Account(jid="greenhouse@example.org", password=SecretStr("secret"))
    await server.create_account(account.jid, "secret")
    async with server.link(account) as link:
        agent = Agent(account, link=link, outbox="memory")
        agent.sensor("temperature", unit="Cel", every=1.0)(temperature)
        if sys.argv[1] == "hang":
            asyncio.get_running_loop().call_later(2.0, time.sleep, 60)
        async with asyncio.timeout(5 if sys.argv[1] == "end" else None):
            await agent.serve()

def temperature() -> float:
    return 21.5

asyncio.run(main())
"""


@pytest.fixture
def start(manager: Manager) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def run(manager: Manager, *arguments: str) -> subprocess.Popen[bytes]:
    given = {**os.environ, "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "600000"}
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=given, stderr=subprocess.DEVNULL)


def test_the_signs_of_life_of_an_agent_end_when_its_loop_hangs(
    manager: Manager, start: list[subprocess.Popen[bytes]]
) -> None:
    start.append(run(manager, "-c", AGENT, "hang"))
    manager.until("READY=1")
    manager.until("WATCHDOG=1")
    time.sleep(2.5)  # now it hangs
    manager.heard()
    time.sleep(1.2)  # twice the watchdog's time
    assert manager.heard() == []
    assert start[0].poll() is None


def test_an_agent_tells_its_end(manager: Manager, start: list[subprocess.Popen[bytes]]) -> None:
    start.append(run(manager, "-c", AGENT, "end"))
    lines = manager.until("STOPPING=1")
    assert lines.index("READY=1") < lines.index("STOPPING=1")
    assert any(line.startswith("STATUS=connected, 1 sensors") for line in lines)


def test_an_agent_of_a_file_is_ready_before_its_server_is_reached(
    manager: Manager, start: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    account = tmp_path / "account.toml"
    account.write_text('jid = "hall@example.org"\npassword = "x"\nhost = "127.0.0.1"\nport = 1\n')
    account.chmod(0o600)
    file = tmp_path / "agent.toml"
    file.write_text('account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\n')
    start.append(run(manager, "-m", "iotxmpp", "agent", "run", str(file)))
    manager.until("READY=1")
    manager.until("WATCHDOG=1")
    start[0].send_signal(signal.SIGTERM)
    manager.until("STOPPING=1")
    assert start[0].wait(20) == 0
