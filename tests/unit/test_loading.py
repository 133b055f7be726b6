"""A device loads only what it needs, and nothing of a controller's."""

from pathlib import Path

from tests.unit.loaded import loaded_by, tops


def test_importing_the_agent_loads_only_what_it_needs() -> None:
    modules = loaded_by("from iotxmpp import Account, Agent, Channel, Reading")
    assert "pydantic" in modules
    assert not tops(modules) & {"slixmpp", "sqlalchemy", "prometheus_client", "rich", "typer", "cryptography"}


RUN_IN_MEMORY = """
import asyncio
from pydantic import SecretStr
from iotxmpp import Account, Agent
from iotxmpp.memory import MemoryServer

async def main():
    server = MemoryServer("example.org")
    account = Account(jid="greenhouse@example.org", password=SecretStr("secret"))
    await server.create_account(account.jid, "secret")
    async with server.link(account) as link:
        agent = Agent(account, link=link)
        agent.sensor("temperature", unit="Cel")(temperature)
        agent.command(water)
        async with agent:
            await agent.publish("temperature", 21.5)

def temperature() -> float:
    return 21.5

def water(seconds: int) -> str:
    return "watered"

asyncio.run(main())
"""


def test_a_running_agent_loads_nothing_of_the_controllers() -> None:
    modules = loaded_by(RUN_IN_MEMORY)
    assert "iotxmpp.agent.running" in modules
    assert not tops(modules) & {"slixmpp", "sqlalchemy", "prometheus_client", "rich", "typer", "cryptography"}
    assert not {name for name in modules if name.startswith(("iotxmpp.controller", "iotxmpp.server"))}


RUN_FROM_A_FILE = """
import sys
from iotxmpp.cli import main
sys.argv = ["iotxmpp", "agent", "run", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    assert ended.code == 2, ended.code  # the certificate authority's file is missing
"""


def test_an_agent_from_the_command_line_loads_nothing_of_the_controllers(tmp_path: Path) -> None:
    account = tmp_path / "account.toml"
    # It gets as far as its first look at the server's certificate authority.
    account.write_text(
        'jid = "greenhouse@example.org"\npassword = "secret"\nhost = "127.0.0.1"\n'
        f'ca = "{tmp_path}/none.pem"\n'
    )
    account.chmod(0o600)
    (tmp_path / "agent.toml").write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\n'
    )
    modules = loaded_by(RUN_FROM_A_FILE, str(tmp_path / "agent.toml"))
    assert "slixmpp" in modules
    assert not tops(modules) & {"sqlalchemy", "prometheus_client", "rich", "typer", "cryptography"}
    assert not {name for name in modules if name.startswith(("iotxmpp.controller", "iotxmpp.server"))}
