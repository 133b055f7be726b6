"""The program as a user runs it: what it prints, writes and refuses, and how it ends."""

import asyncio
import json
import signal
import stat
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from iotxmpp import Agent
from iotxmpp.account import Account
from iotxmpp.cli.app import app
from iotxmpp.errors import CredentialsError
from iotxmpp.server import ServerKind, ServerProcess
from iotxmpp.xmpp import XmppLink
from tests.live.site import Site, name_of, until
from tests.live.terminal import Ended, Terminal
from tests.servers import server_directory

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


@pytest.fixture
async def home(prosody: ServerProcess, terminal: Terminal) -> AsyncIterator[Site]:
    """A site on Prosody whose files lie in the terminal's folder."""
    async with Site(prosody, terminal.home) as site:
        yield site


def saved(account: Account, folder: Path, name: str) -> Path:
    path = folder / f"{name}.toml"
    account.save(path)
    return path


def agent_file(folder: Path, account: str, *, profile: str = "bme280", every: float = 0.1) -> Path:
    path = folder / "agent.toml"
    path.write_text(f'account = "{account}"\nprofile = "{profile}"\nevery = {every}\n')
    return path


def documents(out: str) -> list[dict[str, object]]:
    """One JSON document a line."""
    return [json.loads(line) for line in out.splitlines()]


async def can_log_in(account: Account) -> bool:
    try:
        async with XmppLink(account):
            return True
    except CredentialsError:
        return False


# The whole story.


@pytest.mark.parametrize("kind", list(ServerKind))
async def test_from_a_server_to_a_command_and_back(kind: ServerKind, terminal: Terminal) -> None:
    folder = terminal.home
    directory, device = folder / "server", folder / "devices" / "greenhouse-1.toml"
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            terminal.started("server", "run", "--kind", kind, "--directory", directory, "--json")
        )
        await server.says("\n")
        (facts,) = documents(server.out)
        assert (facts["kind"], facts["domain"], facts["service"]) == (kind, "localhost", "pubsub.localhost")
        admin, house = str(facts["admin_account"]), str(facts["controller_account"])
        assert admin == str(directory / "admin.toml")

        # add
        ended = await terminal.run("device", "add", "greenhouse-1", "-a", admin, "--output", device)
        assert (ended.code, ended.out) == (0, "")
        assert ended.err == f"greenhouse-1@localhost added; its account file is {device}\n"
        assert stat.S_IMODE(device.stat().st_mode) == 0o600
        first = Account.load(device)
        assert first.jid == "greenhouse-1@localhost"
        assert first.controllers == ("controller@localhost",)

        # once more: refused, then renewed
        refused = await terminal.run("device", "add", "greenhouse-1", "-a", admin, "--output", device)
        assert refused.code == 2
        assert refused.err == (
            f"iotxmpp: {device} exists; use --force to renew the device's password and overwrite it\n"
        )
        assert Account.load(device) == first
        assert await can_log_in(first)
        await terminal.good("device", "add", "greenhouse-1", "-a", admin, "-o", device, "--force")
        second = Account.load(device)
        assert second.password != first.password
        assert stat.S_IMODE(device.stat().st_mode) == 0o600
        assert [await can_log_in(account) for account in (first, second)] == [False, True]

        # a second one to stdout; both are listed
        printed = await terminal.good("device", "add", "attic", "-a", admin, "--controller", "ops@localhost")
        attic = Account.model_validate(tomllib.loads(printed))
        assert (attic.jid, attic.controllers) == ("attic@localhost", ("ops@localhost",))
        assert await can_log_in(attic)
        listed, shown = await asyncio.gather(
            terminal.good("device", "list", "-a", admin, "--json"),
            terminal.good("device", "list", "-a", admin),
        )
        assert json.loads(listed) == [
            {"device": "attic", "jid": "attic@localhost"},
            {"device": "greenhouse-1", "jid": "greenhouse-1@localhost"},
        ]
        assert "greenhouse-1@localhost" in shown
        assert "attic@localhost" in shown

        # it runs, is watched, and called
        agent = await stack.enter_async_context(
            terminal.started("agent", "run", agent_file(folder, "devices/greenhouse-1.toml"))
        )
        watch = await stack.enter_async_context(terminal.started("watch", "-a", house, "--json"))
        await watch.says('"presence": "online"')
        assert await terminal.good("call", "greenhouse-1", "reset", "-a", house, "--json") == "null\n"
        await watch.says('"pressure"')
        rows = documents((await watch.end(signal.SIGINT)).out)
        assert {row["device"] for row in rows} == {"greenhouse-1"}
        assert {"device": "greenhouse-1", "presence": "online", "text": "online, 3 sensors"} in rows
        readings = {row["channel"]: row for row in rows if "channel" in row}
        assert {name: row["unit"] for name, row in readings.items()} == {
            "temperature": "Cel",
            "humidity": "%RH",
            "pressure": "hPa",
        }
        assert all(isinstance(row["value"], float) for row in readings.values())

        # the end of it
        ended = await agent.end(signal.SIGTERM)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        removed = [await terminal.run("device", "remove", each, "-a", admin) for each in ("greenhouse-1", "attic")]
        assert [each.code for each in removed] == [0, 0]
        assert removed[0].err == "greenhouse-1@localhost removed\n"
        assert not await can_log_in(second)
        assert json.loads(await terminal.good("device", "list", "-a", admin, "--json")) == []
        again = await terminal.run("device", "remove", "greenhouse-1", "-a", admin)
        assert again.code == 6
        assert "no device greenhouse-1 at pubsub.localhost" in again.err
        assert (await server.end(signal.SIGTERM)).code == 0
    assert terminal.left_behind == []
