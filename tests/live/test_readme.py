"""The README's scripts, run exactly as they are printed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from iotxmpp.addresses import device_id
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from tests.servers import finish, server_directory

README = Path(__file__).parents[2] / "README.md"
HOUSE = "house@example.org"


def scripts() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def example_org() -> Iterator[ServerProcess]:
    with server_directory() as folder:
        server = ServerProcess(ServerSpec(kind=ServerKind.PROSODY, directory=folder, domain="example.org"))
        finish(server.start())
        try:
            yield server
        finally:
            finish(server.stop())


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
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} was not made"
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
