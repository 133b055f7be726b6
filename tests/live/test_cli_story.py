"""The whole story as a user lives it: a server, devices, readings, a command, and all removed again."""

import asyncio
import json
import signal
import stat
import tomllib
from pathlib import Path

import pytest

from iotxmpp.account import Account
from iotxmpp.server import ServerKind
from tests.live.cli_house import agent_file, can_log_in, documents
from tests.live.terminal import Terminal


@pytest.mark.parametrize("kind", list(ServerKind))
async def test_from_a_server_to_a_command_and_back(kind: ServerKind, terminal: Terminal) -> None:
    directory = terminal.home / "server"
    words = ("server", "run", "--kind", kind, "--directory", directory, "--json")
    async with terminal.started(*words) as server:
        await server.says("\n")
        (facts,) = documents(server.out)
        assert (facts["kind"], facts["domain"], facts["service"]) == (kind, "localhost", "pubsub.localhost")
        admin = str(directory / "admin.toml")
        assert facts["admin_account"] == admin
        device = await add_devices(terminal, admin)
        await run_watch_and_call(terminal, device, str(facts["controller_account"]))
        await remove_devices(terminal, admin, Account.load(device))
        assert (await server.end(signal.SIGTERM)).code == 0
    assert terminal.left_behind == []


async def add_devices(terminal: Terminal, admin: str) -> Path:
    """Adds one device to a file, twice, and one to standard output; returns the file."""
    file = terminal.home / "devices" / "greenhouse-1.toml"
    words = ("device", "add", "greenhouse-1", "-a", admin, "--output", file)
    added = await terminal.run(*words)
    assert (added.code, added.out) == (0, "")
    assert added.err == f"greenhouse-1@localhost added; its account file is {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = Account.load(file)
    assert (first.jid, first.controllers) == ("greenhouse-1@localhost", ("controller@localhost",))

    refused = await terminal.run(*words)
    says = f"{file} exists; use --force to renew the device's password and overwrite it"
    assert (refused.code, refused.err) == (2, f"iotxmpp: {says}\n")
    assert Account.load(file) == first
    assert await can_log_in(first)

    await terminal.good(*words, "--force")
    second = Account.load(file)
    assert second.password != first.password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [await can_log_in(account) for account in (first, second)] == [False, True]

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
    return file


async def run_watch_and_call(terminal: Terminal, device: Path, house: str) -> None:
    """Runs the device of an account file, watches it, calls it, and ends it."""
    file = agent_file(terminal.home, str(device.relative_to(terminal.home)))
    async with (
        terminal.started("agent", "run", file) as agent,
        terminal.started("watch", "-a", house, "--json") as watch,
    ):
        await watch.says('"presence": "online"')
        answer = await terminal.run("call", "greenhouse-1", "reset", "-a", house, "--json")
        assert (answer.code, json.loads(answer.out), answer.err) == (0, {"simulated": True}, "")
        await watch.says('"pressure"')
        watched, ended = await watch.end(signal.SIGINT), await agent.end(signal.SIGTERM)
    assert (watched.code, watched.err) == (0, "")
    assert (ended.code, ended.out) == (0, "")
    # It tells what happens, and nothing worse.
    assert all(" INFO " in line for line in ended.err.splitlines())
    rows = documents(watched.out)
    assert "readings are not acknowledged; they wait on disk" in ended.err
    assert {row["device"] for row in rows} == {"greenhouse-1"}
    online = {"device": "greenhouse-1", "presence": "online", "text": "online, 3 sensors", "problems": []}
    assert online in rows
    readings = {row["channel"]: row for row in rows if "channel" in row}
    units = {name: row["unit"] for name, row in readings.items()}
    assert units == {"temperature": "Cel", "humidity": "%RH", "pressure": "hPa"}
    assert all(isinstance(row["value"], float) for row in readings.values())


async def remove_devices(terminal: Terminal, admin: str, account: Account) -> None:
    """Removes the two devices, and one of them again."""
    words = ("device", "remove", "greenhouse-1", "-a", admin)
    removed, other = await asyncio.gather(
        terminal.run(*words), terminal.run("device", "remove", "attic", "-a", admin)
    )
    assert (removed.code, removed.err, other.code) == (0, "greenhouse-1@localhost removed\n", 0), other.err
    assert not await can_log_in(account)
    listed, again = await asyncio.gather(
        terminal.good("device", "list", "-a", admin, "--json"), terminal.run(*words)
    )
    assert json.loads(listed) == []
    assert again.code == 6
    assert "no device greenhouse-1 at pubsub.localhost" in again.err
