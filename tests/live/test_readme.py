"""The README's scripts, run exactly as they are printed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from iotxmpp.addresses import device_id
from iotxmpp.server import ServerKind, ServerProcess
from iotxmpp.server.devices import add_device
from iotxmpp.server.settings import free_port
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from tests.servers import finish
from tests.servers import running as running_server

README = Path(__file__).parents[2] / "README.md"
HOUSE = "house@example.org"


def scripts() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def fleet() -> list[str]:
    """The command lines for who runs a fleet."""
    found = re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in found if "iotxmpp server run" in block)
    return [str(line) for line in block.splitlines()]


@pytest.fixture
def example_org() -> Iterator[ServerProcess]:
    with running_server(ServerKind.PROSODY, domain="example.org") as server:
        yield server


async def add_accounts(server: ServerProcess, folder: Path) -> None:
    async with XmppLink(server.admin) as link:
        provisioner = XmppProvisioner(link)
        await provisioner.create_account(HOUSE, "secret")
        greenhouse = await add_device(
            provisioner, server.admin, device_id("greenhouse"), controllers=(HOUSE,)
        )
    house = server.admin.model_copy(update={"jid": HOUSE, "password": SecretStr("secret")})
    greenhouse.save(folder / "greenhouse.toml")
    house.save(folder / "house.toml")


def start(script: str, account: Path, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "IOTXMPP_ACCOUNT": str(account), "IOTXMPP_STATE": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, cwd=folder
    )


def await_file(path: Path) -> None:
    await_that(path.exists, f"{path.name} was not made")


def await_that(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def test_both_scripts_have_ten_lines_of_code() -> None:
    for script in scripts():
        assert len([line for line in script.splitlines() if line.strip()]) <= 10


def test_the_agent_and_the_controller_work_as_printed(example_org: ServerProcess, tmp_path: Path) -> None:
    agent_script, controller_script = scripts()
    finish(add_accounts(example_org, tmp_path))
    controller = start(controller_script, tmp_path / "house.toml", tmp_path)
    await_file(tmp_path / "controller.db")  # its next step is to connect; what comes before is for nobody
    agent = start(agent_script, tmp_path / "greenhouse.toml", tmp_path)
    try:
        assert controller.stdout is not None
        assert controller.stdout.readline() == "watered for 20 s\n"
    finally:
        for process in (agent, controller):
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=20) for process in (agent, controller)]
        for process in (agent, controller):
            process.communicate()
    assert codes == [0, 0]


SAYS = {"controller run": "controlling as", "agent run": "online", "watch": '"presence": "online"'}
"""What each command that runs on says as soon as it does."""


@contextmanager
def running(line: str, says: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A line of a terminal of its own, ended with Ctrl+C."""
    log = folder / f"{line.split()[1]}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"], env=environment, cwd=folder, stdout=said, stderr=said
        )
    try:
        await_that(lambda: says in log.read_text(), f"{line}: did not say {says}")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=20)
    assert code == 0, log.read_text()


def test_the_fleet_works_as_printed_from_its_first_reading_on(
    example_org: ServerProcess, tmp_path: Path
) -> None:
    """On a server that runs already, which the commands are told of by their environment."""
    server, *lines = fleet()
    assert server.startswith("iotxmpp server run ")
    port = free_port()
    general = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    general |= {"IOTXMPP_STATE": str(tmp_path), "HOME": str(tmp_path)}
    admin = {**general, "IOTXMPP_ACCOUNT": str(example_org.admin_file)}
    house = {**general, "IOTXMPP_ACCOUNT": str(example_org.controller_file)}
    printed = {}
    with ExitStack() as stack:
        for line in (line.replace("9464", str(port)) for line in lines):
            words = " ".join(line.split()[1:3])
            says = next((text for start, text in SAYS.items() if words.startswith(start)), None)
            if says is not None:
                stack.enter_context(running(line, says, tmp_path, house))
                continue
            ended = subprocess.run(
                ["/bin/sh", "-c", line],
                env=admin if words == "device add" else house,
                cwd=tmp_path,
                check=False,
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert ended.returncode == 0, f"{line}: {ended.stderr}"
            printed[words] = ended.stdout
        first = 'iotxmpp_readings_total{device="greenhouse-1"} 3.0'  # the next ones come after 30 s
        await_that(lambda: first in metrics(port), "the first readings did not come")
    assert json.loads(printed["call greenhouse-1"]) == {"simulated": True}
    assert printed["call --where"].split()[:2] == ["greenhouse-1", "done:"]
    (queued,) = map(json.loads, printed["commands list"].splitlines())
    assert (queued["device"], queued["name"], queued["state"]) == ("greenhouse-1", "reset", "done")
    assert "every/bme280" in printed["twin set"]
    assert "unchanged; the last is" in printed["audit verify"]
    assert "greenhouse-1" not in printed["controller rejected"]


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read(), "utf-8")
