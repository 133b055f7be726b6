"""The program as a user runs it: what it prints, writes and refuses, and how it ends."""

import asyncio
import json
import os
import signal
import stat
import sys
import tomllib
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from pydantic import SecretStr

from iotxmpp import Agent, __version__
from iotxmpp.account import Account
from iotxmpp.cli.app import app
from iotxmpp.errors import CredentialsError
from iotxmpp.link import Item
from iotxmpp.payloads import json_element
from iotxmpp.server import ServerKind, ServerProcess
from iotxmpp.server.certificate import renewed
from iotxmpp.server.settings import free_port
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.negotiation import ATTEMPT_TIMEOUT
from tests.contract.world import Collected
from tests.live.site import PATIENCE, Site, name_of, nodes_of, until
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


def agent_file(folder: Path, account: str, *, name: str = "agent") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'account = "{account}"\nprofile = "bme280"\ndriver.kind = "simulated"\nevery = 0.1\n')
    return path


def changed(account: Account, **values: object) -> Account:
    """The account with other values."""
    return account.model_copy(update=values)


def commands() -> list[tuple[str, ...]]:
    """Every command and group of the program, by its words."""
    groups = [(str(each.name), each.typer_instance) for each in app.registered_groups if each.typer_instance]
    return [
        (),
        *((str(each.name),) for each in app.registered_commands),
        *((name,) for name, _ in groups),
        *((name, str(each.name)) for name, group in groups for each in group.registered_commands),
    ]


def one_line(ended: Ended) -> str:
    """The one line that a command said about its error."""
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    return line


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


# Help and usage.


async def test_version(terminal: Terminal) -> None:
    assert await terminal.good("--version") == f"iotxmpp {__version__}\n"


async def test_every_command_helps(terminal: Terminal) -> None:
    assert len(commands()) >= 15
    ended = await asyncio.gather(*(terminal.run(*words, "--help") for words in commands()))
    for words, each in zip(commands(), ended, strict=True):
        assert (each.code, each.err) == (0, ""), words
        assert " ".join(("Usage: python -m iotxmpp", *words)) in each.out


async def test_wrong_usage_ends_with_2_and_says_what_is_wrong(terminal: Terminal) -> None:
    account = saved(ELSEWHERE, terminal.home, "elsewhere")
    wrong = {
        ("fly",): "No such command 'fly'",
        ("call", "greenhouse"): "Missing argument 'command'",
        ("watch", "--every", "2"): "No such option",
        ("call", "Green House", "water", "-a", account): "device id 'Green House': use 1 to 63 of a-z, 0-9",
        ("device", "add", "../etc", "-a", account): "device id '../etc': use 1 to 63",
        ("device", "add", "x", "-a", account, "--controller", "house"): "JID 'house': expected name@domain",
        ("server", "run", "--kind", "openfire"): "server 'openfire': choose prosody or ejabberd",
        ("server", "run", "--port", "80"): "port 80",
        ("server", "run", "--domain", "Local Host"): "domain 'Local Host'",
        ("demo", "--server", "openfire"): "server 'openfire': choose prosody, ejabberd or memory",
    }
    ended = await asyncio.gather(*(terminal.run(*arguments) for arguments in wrong))
    for arguments, each in zip(wrong, ended, strict=True):
        assert (each.code, each.out) == (2, ""), each
        assert wrong[arguments] in each.err


# Accounts and servers that are wrong.

ELSEWHERE = Account(
    jid="admin@localhost",
    password=SecretStr("secret"),
    host="127.0.0.1",
    port=1,
    controllers=("controller@localhost",),
)


async def test_a_server_that_cannot_be_used(home: Site, terminal: Terminal) -> None:
    good, folder = home.server.admin, terminal.home
    other_authority = folder / "other.pem"
    other_authority.write_bytes(renewed(None, "localhost", datetime.now(UTC)).ca)
    wrong = {
        "password": (
            changed(good, password=SecretStr("mistaken")),
            4,
            "refused the login of admin@localhost",
        ),
        "nobody": (changed(good, jid="nobody@localhost"), 4, "wrong password, or no such account"),
        "host": (changed(good, host="no-such-host.invalid"), 3, "unknown host no-such-host.invalid"),
        "domain": (changed(good, host=None, port=None, jid="admin@no-such-host.invalid"), 3, "unknown host"),
        "port": (changed(good, port=1), 3, "is the server running there? Check host and port"),
        "direct": (changed(good, tls="direct"), 5, 'write tls = "starttls" in the account file'),
        "system": (changed(good, ca=None), 5, "is not trusted"),
        "ca": (changed(good, ca=other_authority), 5, "is not trusted"),
    }
    files = [saved(account, folder, name) for name, (account, _, _) in wrong.items()]
    ended = await asyncio.gather(*(terminal.run("device", "list", "-a", file) for file in files))
    for (_, code, says), each in zip(wrong.values(), ended, strict=True):
        assert (each.code, each.out) == (code, "")
        assert one_line(each).startswith("iotxmpp: ")
        assert says in each.err
        assert "mistaken" not in each.err


async def test_a_server_of_another_domain(home: Site, terminal: Terminal) -> None:
    account = saved(changed(home.server.admin, jid="admin@example.org"), terminal.home, "foreign")
    ended = await terminal.run("device", "list", "-a", account)
    assert (ended.code, ended.out) == (3, "")
    says = (
        "does not serve the domain example.org (host-unknown): check the domain of the JID admin@example.org"
    )
    assert says in ended.err.splitlines()[-1]


async def test_every_command_tells_that_it_cannot_log_in(home: Site, terminal: Terminal) -> None:
    devices = [await home.device(name, home.server.controller) for name in ("greenhouse", "hall")]
    wrong, untrusted = changed(devices[0], password=SecretStr("wrong")), changed(devices[1], ca=None)
    files = [saved(wrong, terminal.home, "wrong"), saved(untrusted, terminal.home, "untrusted")]
    agents = [agent_file(terminal.home, file.name, name=f"{file.stem}-agent") for file in files]
    ended = await asyncio.gather(
        *(terminal.run("agent", "run", agent) for agent in agents),
        *(terminal.run("call", name_of(devices[0]), "reset", "-a", file) for file in files),
        terminal.run("watch", "-a", files[0]),
        terminal.run("controller", "run", "-a", files[1], "--metrics-port", 0),
    )
    assert [each.code for each in ended] == [4, 5, 4, 5, 4, 5]
    for each in ended:
        assert one_line(each).startswith("iotxmpp: ")


async def test_one_agent_at_a_time_uses_an_outbox(terminal: Terminal) -> None:
    state = str(terminal.home / "state")
    files = []
    for name in ("hall", "attic"):
        saved(changed(ELSEWHERE, jid=f"{name}@localhost"), terminal.home, name)
        files.append(agent_file(terminal.home, f"{name}.toml", name=f"{name}-agent"))
    hall, attic = files
    async with (
        terminal.started("agent", "run", hall, IOTXMPP_STATE=state) as first,
        terminal.started("agent", "run", attic, IOTXMPP_STATE=state) as other,
    ):
        for agent in (first, other):
            await agent.says("trying again in", on="err")
        second = await terminal.run("agent", "run", hall, IOTXMPP_STATE=state)
        path = Path(state) / "hall@localhost" / "outbox.db"
        says = f"iotxmpp: outbox {path}: another agent uses it; end that one, or give each its own"
        assert (second.code, one_line(second)) == (1, says)
        for agent in (first, other):
            ended = await agent.end(signal.SIGTERM)
            assert (ended.code, "in memory" in ended.err) == (0, False)
    third = terminal.started("agent", "run", hall, IOTXMPP_STATE=state)
    async with third as agent:
        await agent.says("trying again in", on="err")
        assert (await agent.end(signal.SIGTERM)).code == 0


async def test_an_agent_waits_for_a_server_that_is_not_there(terminal: Terminal) -> None:
    saved(ELSEWHERE, terminal.home, "device")
    async with terminal.started("agent", "run", agent_file(terminal.home, "device.toml")) as agent:
        await agent.says("cannot reach 127.0.0.1:1", on="err")
        await agent.says("trying again in", on="err")
        assert (await agent.end(signal.SIGTERM)).code == 0


async def test_an_account_file_that_is_wrong(terminal: Terminal) -> None:
    good = ELSEWHERE.toml()
    contents = {
        "missing": (None, "No such file"),
        "open": (good, "others may read its password; run: chmod 600"),
        "no-toml": ("jid = ", "not TOML"),
        "unknown-key": (good + 'colour = "red"\n', "colour: Extra inputs are not permitted"),
        "no-jid": ('password = "secret"\n', "jid: Field required"),
        "no-name": (good.replace("admin@localhost", "localhost"), "jid: Value error, JID 'localhost'"),
        "no-port": (good.replace("port = 1", "port = 70000"), "port: Input should be less than or equal"),
        "lone-port": (good.replace('host = "127.0.0.1"\n', ""), "port is given without host"),
        "no-ca": (good + 'ca = "/nowhere/ca.pem"\n', "ca /nowhere/ca.pem"),
    }
    files = []
    for name, (content, _) in contents.items():
        files.append(terminal.home / f"{name}.toml")
        if content is not None:
            files[-1].write_text(content)
            files[-1].chmod(0o640 if name == "open" else 0o600)
    ended = await asyncio.gather(*(terminal.run("device", "list", "-a", file) for file in files))
    for name, file, each in zip(contents, files, ended, strict=True):
        assert each.code == 2, each
        assert contents[name][1] in one_line(each)
        assert name == "no-ca" or f"account file {file}: " in each.err
        assert "secret" not in each.err


async def test_an_agent_file_that_is_wrong(terminal: Terminal) -> None:
    saved(ELSEWHERE, terminal.home, "device")
    bare = 'account = "device.toml"\nprofile = "bme280"\n'
    good = bare + 'driver.kind = "simulated"\n'
    contents = {
        "missing": (None, "No such file"),
        "no-toml": ("profile = [", "not TOML"),
        "unknown-key": (good + "interval = 5\n", "unknown key interval; known: account, profile"),
        "no-account": ('profile = "bme280"\n', "account: missing"),
        "account": (good.replace("device", "lost"), "account file"),
        "profile": (good.replace("bme280", "bme999"), "bme999"),
        "every": (good + "every = 0\n", "every: Input should be from 0.001 to 31622400"),
        "rename": (good + '[rename]\nwind = "breeze"\n', "rename.wind: profile bme280 has no such channel"),
        "driver": (bare + 'driver.kind = "telepathy"\n', "telepathy"),
        "setting": (good + "driver.voltage = 5\n", "voltage"),
    }
    files = [terminal.home / f"{name}.agent.toml" for name in contents]
    for file, (content, _) in zip(files, contents.values(), strict=True):
        if content is not None:
            file.write_text(content)
    ended = await asyncio.gather(*(terminal.run("agent", "run", file) for file in files))
    for file, (_, says), each in zip(files, contents.values(), ended, strict=True):
        assert each.code == 2, each
        assert one_line(each).startswith("iotxmpp: ")
        assert says in each.err
        assert str(terminal.home) in each.err
        assert says == "account file" or str(file) in each.err


async def test_the_account_can_come_from_the_environment(home: Site, terminal: Terminal) -> None:
    admin = str(home.server.admin_file)
    listed = await terminal.good("device", "list", "--json", IOTXMPP_ACCOUNT=admin)
    assert listed == await terminal.good("device", "list", "--json", "-a", admin)


# Devices.


@pytest.fixture
async def house_of_its_own(request: pytest.FixtureRequest, terminal: Terminal) -> AsyncIterator[Site]:
    """A site on one of the servers."""
    async with Site(request.getfixturevalue(request.param), terminal.home) as site:
        yield site


ON_EACH_SERVER = pytest.mark.parametrize("house_of_its_own", list(map(str, ServerKind)), indirect=True)


@ON_EACH_SERVER
async def test_no_account_but_a_devices_is_renewed_or_removed(
    house_of_its_own: Site, terminal: Terminal
) -> None:
    site = house_of_its_own
    person, other = await site.account("person"), await site.account("other")
    device, admin = await site.device("greenhouse", person), site.server.admin
    known = await site.provisioner.nodes(site.server.service)
    file = site.server.admin_file
    expected: dict[tuple[object, ...], tuple[int, str]] = {
        ("add", "admin"): (2, "admin@localhost is the administrator"),
        ("add", "admin", "--force"): (2, "admin@localhost is the administrator"),
        ("remove", "admin"): (2, "admin@localhost is the administrator"),
        ("add", "controller", "--force"): (2, "controller@localhost is to be the controller"),
        ("remove", "controller"): (6, "no device controller at pubsub.localhost"),
        ("add", person.name, "--force"): (1, f"the account {person.jid} exists and is no device"),
        ("remove", other.name): (6, f"no device {other.name} at pubsub.localhost"),
        ("add", device.name): (1, f"device {device.name} exists at pubsub.localhost; renew it (--force)"),
    }
    ended = await asyncio.gather(*(terminal.run("device", *arguments, "-a", file) for arguments in expected))
    for (code, says), each in zip(expected.values(), ended, strict=True):
        assert each.code == code, each
        assert says in one_line(each)
    assert set(await site.provisioner.nodes(site.server.service)) == set(known)
    for account in (admin, site.server.controller, person, other, device):
        assert await can_log_in(account), account.jid


@ON_EACH_SERVER
async def test_only_an_administrator_administers(house_of_its_own: Site, terminal: Terminal) -> None:
    person = await house_of_its_own.account("person")
    device = await house_of_its_own.device("greenhouse", person)
    file = saved(person, terminal.home, "person")
    ended = await asyncio.gather(
        terminal.run("device", "list", "-a", file, "--json"),
        terminal.run("device", "remove", device.name, "-a", file),
        terminal.run("device", "add", "attic", "-a", file),
    )
    says = (
        f"{person.jid} is no administrator of localhost: give the administrator's account file with --account"
    )
    for each in ended:
        assert (each.code, one_line(each)) == (7, f"iotxmpp: {says}")
    assert await can_log_in(device)


async def test_an_output_that_cannot_be_written_is_told_before_the_server_is_asked(
    terminal: Terminal,
) -> None:
    account = saved(ELSEWHERE, terminal.home, "elsewhere")  # its server is not there: exit code 3
    taken = terminal.home / "taken"
    taken.mkdir()
    wrong = {
        Path("/proc/device.toml"): "No such file or directory",
        account / "device.toml": "Not a directory",
        account / "below" / "device.toml": "Not a directory",
        taken: "Is a directory",
        terminal.home / ("x" * 300): "File name too long",
    }
    before = sorted(terminal.home.rglob("*"))
    ended = await asyncio.gather(
        *(terminal.run("device", "add", "x", "-a", account, "--force", "-o", path) for path in wrong),
        terminal.run("device", "add", "x", "-a", account, "-o", terminal.home / "new" / "device.toml"),
    )
    assert ended.pop().code == 3
    for path, each in zip(wrong, ended, strict=True):
        assert each.code == 2, each
        assert one_line(each) == f"iotxmpp: account file {path} cannot be written: {wrong[path]}"
    assert sorted(terminal.home.rglob("*")) == before


async def test_a_server_without_its_extra_makes_nothing(terminal: Terminal) -> None:
    (terminal.home / "sitecustomize.py").write_text("import sys\nsys.modules['cryptography'] = None\n")
    directory = terminal.home / "server"
    ended = await terminal.run("server", "run", "--directory", directory, PYTHONPATH=str(terminal.home))
    assert ended.code == 2, ended
    assert one_line(ended) == "iotxmpp: cryptography is not installed; run: pip install 'iotxmpp[server]'"
    assert not directory.exists()


# Call.


async def test_call(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    here, stopped, never = [await home.device(name, house) for name in ("here", "stopped", "never")]
    stranger = saved(await home.account("stranger"), terminal.home, "stranger")
    account, name = saved(house, terminal.home, "house"), name_of(here)
    agent, gone = Agent(here), Agent(stopped)

    @agent.command
    async def water(seconds: int = 10, *, valve: str = "left") -> str:
        return f"{valve}: {seconds} s"

    @agent.command
    def facts() -> dict[str, object]:
        return {"cores": 2, "name": "größe"}

    @agent.command
    def jam() -> None:
        raise RuntimeError("the valve is stuck")

    @agent.command
    async def dawdle() -> None:
        await asyncio.Event().wait()

    @gone.command(name="water")
    def unheard() -> None: ...

    described, watcher = Collected[Item](), await home.link(house)
    await watcher.subscribe(nodes_of(stopped).about, described)
    async with gone:
        await described.count(1)
    expected: dict[tuple[object, ...], tuple[int, str]] = {
        (name_of(stopped), "water"): (8, f"{stopped.jid} is not online; the command was not sent"),
        (name, "water"): (0, "left: 10 s\n"),
        (here.jid, "water", "seconds=20", "valve=7=x y"): (0, "7=x y: 20 s\n"),
        (name, "water", "--json"): (0, '"left: 10 s"\n'),
        (name, "facts"): (0, '{\n  "cores": 2,\n  "name": "größe"\n}\n'),
        (name, "facts", "--json"): (0, '{"cores": 2, "name": "größe"}\n'),
        (name, "water", "seconds=soon"): (2, "seconds"),
        (name, "water", "litres=3"): (2, "litres"),
        (name, "water", "20"): (2, "argument '20': write it as key=value, such as seconds=20"),
        (name, "water", "seconds=1", "seconds=2"): (2, "argument 'seconds' is given twice"),
        (name, "fly"): (6, f"{name} has no command 'fly'; it has: dawdle, facts, jam, water"),
        # Prosody does not say whether there is such a node.
        ("nothing", "water"): (7, "there is no device nothing at pubsub.localhost, or this account may not"),
        (name_of(never), "water"): (8, f"{never.jid} has never been online; the command was not sent"),
        (name, "jam"): (1, "RuntimeError: the valve is stuck"),
        (name, "dawdle", "--timeout", "0.5"): (9, "no answer from"),
    }
    async with agent:
        ended = await asyncio.gather(
            *(terminal.run("call", *arguments, "-a", account) for arguments in expected),
            terminal.run("call", name, "water", "-a", stranger),
        )
    refused = ended.pop()
    assert refused.code == 7
    assert (
        f"there is no device {name} at pubsub.localhost, or this account may not read it: check"
        in one_line(refused)
    )
    for (code, says), each in zip(expected.values(), ended, strict=True):
        assert each.code == code, each
        if code == 0:
            assert (each.out, each.err) == (says, "")
        else:
            assert one_line(each).startswith("iotxmpp: ")
            assert says in each.err


async def test_what_a_device_says_neither_steers_the_terminal_nor_adds_a_line(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    device = await home.device("hostile", house)
    account, name, agent = saved(house, terminal.home, "house"), name_of(device), Agent(device)
    agent.channel("door", type="str")

    @agent.command
    def title() -> str:
        return "x\x1b]0;owned\x07\x9b\u202e"

    @agent.command
    def titles() -> list[str]:
        return ["x\x1b]0;owned\x07\x9b\u202e\n"]

    @agent.command
    def jam() -> None:
        raise RuntimeError("stuck\x9b31m\niotxmpp: all is well\u202e")

    async with agent, terminal.started("watch", name, "-a", account) as watch:
        await watch.says(f"{name}  online: ")
        await agent.publish("door", "open\n10:00:00  attic  online: forged\x9b31m\u202e")
        await agent.publish("door", "shut")
        await watch.says("door shut\n")
        watched = await watch.end(signal.SIGINT)
        ended = await asyncio.gather(
            *(terminal.run("call", name, command, "-a", account) for command in ("title", "titles", "jam"))
        )
    _, _, forging, shut = watched.out.splitlines()  # after its state and its presence
    assert forging.endswith(rf"  {name}  door open\n10:00:00  attic  online: forged\x9b31m\u202e")
    assert shut.endswith(f"  {name}  door shut")
    text, listed, jammed = ended
    assert text.out == "x\\x1b]0;owned\\x07\\x9b\\u202e\n"
    assert listed.out == '[\n  "x\\u001b]0;owned\\u0007\\u009b\\u202e\\n"\n]\n'
    assert r"RuntimeError: stuck\x9b31m\niotxmpp: all is well\u202e" in one_line(jammed)


# Watch and controller.


async def test_watch_tells_of_a_device_that_nobody_knows(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    device = await home.device("here", house)
    account, here = saved(house, terminal.home, "house"), name_of(device)
    soon, wrong = await asyncio.gather(
        terminal.run("watch", "nosuch", here, "-a", account, "--seconds", "0.5"),
        terminal.run("watch", "No Such", "-a", account),
    )
    assert (soon.code, soon.out) == (6, "")
    waiting, never = soon.err.splitlines()
    assert waiting == "no device nosuch is known yet; waiting for it"
    assert never.startswith(
        "iotxmpp: no device nosuch came in time: check the name with `iotxmpp device list`"
    )
    assert wrong.code == 2
    assert "device id 'No Such': use 1 to 63" in one_line(wrong)
    async with terminal.started("watch", "nosuch", "-a", account) as endless:
        await endless.says("no device nosuch is known yet; waiting for it\n", on="err")
        assert (await endless.end(signal.SIGINT)).code == 0


async def test_watch_shows_the_devices_that_are_asked_for_and_ends_in_time(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    wanted, other = [await home.device(name, house) for name in ("wanted", "other")]
    account, agents = saved(house, terminal.home, "house"), [Agent(wanted), Agent(other)]
    for agent in agents:
        agent.channel("door", type="bool")
        agent.channel("level", type="float", unit="m")
    async with (
        agents[0],
        agents[1],
        terminal.started("watch", "-a", account) as everything,
        terminal.started("watch", name_of(wanted), "-a", account, "--json", "--seconds", "2") as some,
    ):
        await everything.says(f"{name_of(other)}  online: online, 2 sensors\n")
        await some.says('"online"')
        for agent in agents:
            await agent.publish("door", True)
            await agent.publish("level", 1.25)
        await everything.says(f"{name_of(other)}  level 1.25 m\n")
        rows = documents((await some.end()).out)
        assert {row.pop("device") for row in rows} == {name_of(wanted)}
        assert [row for row in rows if "presence" in row] == [
            {"presence": "online", "text": "online, 2 sensors", "problems": []}
        ]
        assert [(row["was"], row["state"], row["why"]) for row in rows if "state" in row] == [
            ("unknown", "online", "presence")
        ]
        readings = [row for row in rows if "channel" in row]
        assert [(row["channel"], row["value"]) for row in readings] == [("door", True), ("level", 1.25)]
        assert (len(rows), rows[2:]) == (4, readings)
        assert f"{name_of(other)}  unknown -> online: presence\n" in everything.out
        assert f"{name_of(wanted)}  door on\n" in everything.out
        ended = await everything.end(signal.SIGINT)
        assert (ended.code, ended.err) == (0, "")


async def test_watch_tells_a_change_of_state_once(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    device = saved(await home.device("greenhouse", house), terminal.home, "greenhouse")
    file = agent_file(terminal.home, device.name)
    file.write_text(file.read_text().replace("every = 0.1", "every = 60\nheartbeat = 0.5"))
    async with (
        terminal.started("agent", "run", file) as agent,
        terminal.started("watch", "-a", saved(house, terminal.home, "house")) as watch,
    ):
        await watch.says("unknown -> online: presence\n")
        agent.process.send_signal(signal.SIGSTOP)
        await watch.says("online -> stale: silent for ")
        ended = await watch.end(signal.SIGINT)
        assert (ended.code, ended.err, ended.out.count("-> stale")) == (0, "", 1)


async def test_watch_prints_each_problem_when_it_comes_and_when_it_is_over(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    device = await home.device("greenhouse", house)
    account, agent, works = saved(house, terminal.home, "house"), Agent(device), asyncio.Event()

    @agent.sensor("temperature", unit="Cel", every=0.05)
    def temperature() -> float:
        if not works.is_set():
            raise OSError("no answer\x9b31m")
        return 21.5

    told = rf"{name_of(device)}  %s: temperature: OSError: no answer\x9b31m" + "\n"
    async with (
        terminal.started("watch", "-a", account) as watch,
        terminal.started("watch", "-a", account, "--json") as rows,
        agent,
    ):
        await watch.says(told % "problem")
        await rows.says('"problems": ["temperature: OSError: no answer\\u009b31m"]')
        works.set()
        await watch.says(told % "over")
        ended = await watch.end(signal.SIGINT)
    assert (ended.out.count("  problem: "), ended.out.count("  over: ")) == (1, 1)


async def test_watch_ends_when_nobody_reads_it_any_more(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    device = await home.device("greenhouse", house)
    account, agent = saved(house, terminal.home, "house"), Agent(device)
    agent.channel("count", type="int")
    script = f"{sys.executable} -m iotxmpp watch --json -a {account} | head -n 1"
    process = await asyncio.create_subprocess_shell(
        f"{{ {script}; }} 2>&1", stdout=asyncio.subprocess.PIPE, env=terminal.environment, cwd=terminal.home
    )
    async with agent:
        while process.returncode is None:
            await agent.publish("count", 1)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.2)
        assert process.stdout is not None
        said = (await process.stdout.read()).decode()
    (row,) = documents(said)
    assert row["device"] == name_of(device)
    assert terminal.left_behind == []


async def test_controller_run_keeps_what_it_rejects_and_exports_metrics(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    device = await home.device("greenhouse", house)
    account, agent = saved(house, terminal.home, "house"), Agent(device)
    agent.channel("temperature", type="float", unit="Cel", range=(-40, 85))
    port = free_port()
    async with agent, terminal.started("controller", "run", "-a", account, "--metrics-port", port) as started:
        await started.says(f"metrics at http://127.0.0.1:{port}/metrics", on="err")
        await started.says(f"device {name_of(device)} joined", on="err")
        link, bad = await home.link(device), '[{"n":"%s/temperature","u":"Cel","t":1.7e9,"v":900}]'
        await link.publish(nodes_of(device).readings, json_element(bad % name_of(device)), item_id="a.1")
        await agent.publish("temperature", 21.5)
        wanted = f'iotxmpp_reading_value{{channel="temperature",device="{name_of(device)}",unit="Cel"}} 21.5'
        await until_metrics(port, wanted)
        await until_metrics(port, f'iotxmpp_rejected_total{{code="range",device="{name_of(device)}"}} 1.0')
        ended = await started.end(signal.SIGTERM)
    assert ended.code == 0
    listed, shown, none = await asyncio.gather(
        terminal.good("controller", "rejected", "-a", account, "--json"),
        terminal.good("controller", "rejected", "-a", account),
        terminal.good("controller", "rejected", "-a", account, "--json", "--device", "another"),
    )
    (row,) = documents(listed)
    assert (row["device"], row["node"], row["item"]) == (
        name_of(device),
        nodes_of(device).readings.node,
        "a.1",
    )
    assert (row["code"], row["publisher"]) == ("range", device.jid)
    assert row["error"] == "channel temperature: 900 is not within -40 to 85"
    assert str(row["error"]) in shown
    assert none == ""
    assert terminal.left_behind == []


async def until_metrics(port: int, wanted: str) -> None:
    """Waits until the metrics have this line."""
    async with asyncio.timeout(PATIENCE):
        while wanted not in (lines := await asyncio.to_thread(scraped, port)):
            await asyncio.sleep(0.05)
            assert lines


def scraped(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text.splitlines()


# Signals.


@SIGNALS
async def test_a_signal_ends_every_command_that_runs_on(
    home: Site, terminal: Terminal, number: signal.Signals
) -> None:
    house = await home.account("house")
    saved(await home.device("greenhouse", house), terminal.home, "device")
    account = saved(house, terminal.home, "house")
    async with (
        terminal.started("-v", "agent", "run", agent_file(terminal.home, "device.toml")) as agent,
        terminal.started("watch", "-a", account) as watch,
        terminal.started("controller", "run", "-a", account, "--metrics-port", 0) as controller,
        terminal.started("server", "run", "--kind", "prosody", "--directory", terminal.home / "s") as server,
    ):
        await agent.says("is online as", on="err")
        await watch.says("online: ")
        await controller.says("controlling as", on="err")
        await server.says("Next: iotxmpp device add greenhouse-1 --account")
        ended = await asyncio.gather(*(each.end(number) for each in (agent, watch, controller, server)))
    assert [each.code for each in ended] == [0, 0, 0, 0]
    assert terminal.left_behind == []


class SilentPort:
    """A port that takes connections, and says nothing."""

    def __init__(self) -> None:
        self.number = 0
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.number = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def connected(self, count: int) -> None:
        """Waits for so many connections."""
        await until(lambda: len(self._open) >= count, f"{count} connections")

    def _take(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)


@pytest.fixture
async def silent() -> AsyncIterator[SilentPort]:
    async with SilentPort() as port:
        yield port


@SIGNALS
async def test_a_signal_ends_a_command_that_still_connects(
    silent: SilentPort, terminal: Terminal, number: signal.Signals
) -> None:
    account = saved(changed(ELSEWHERE, port=silent.number), terminal.home, "device")
    async with (
        terminal.started("agent", "run", agent_file(terminal.home, "device.toml")) as agent,
        terminal.started("watch", "-a", account) as watch,
        terminal.started("controller", "run", "-a", account, "--metrics-port", 0) as controller,
    ):
        await silent.connected(3)
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*(each.end(number) for each in (agent, watch, controller)))
    assert [(each.code, each.out, each.err) for each in ended] == [(0, "", "")] * 3
    assert terminal.left_behind == []


async def test_ctrl_c_ends_a_command_that_waits_for_its_answer(
    silent: SilentPort, terminal: Terminal
) -> None:
    account = saved(changed(ELSEWHERE, port=silent.number), terminal.home, "device")
    async with terminal.started("device", "list", "-a", account) as started:
        await silent.connected(1)
        async with asyncio.timeout(ATTEMPT_TIMEOUT / 2):
            assert (await started.end(signal.SIGINT)).code == 130


async def test_a_server_that_ends_by_itself_is_told(terminal: Terminal) -> None:
    words = ("server", "run", "--kind", "prosody", "--directory", terminal.home / "server", "--json")
    async with terminal.started(*words) as started:
        await started.says("\n")
        os.kill(int(str(documents(started.out)[0]["pid"])), signal.SIGKILL)
        ended = await started.end()
    assert ended.code == 1
    assert "prosody ended by itself; its log is" in ended.err
    assert terminal.left_behind == []


async def test_a_second_server_in_a_directory_says_that_it_waits(terminal: Terminal) -> None:
    words = ("server", "run", "--kind", "prosody", "--directory", terminal.home / "server")
    async with terminal.started(*words) as first:
        await first.says("Next: ")
        async with terminal.started(*words, "--json") as second:
            await second.says(f"waiting for the server in {terminal.home / 'server'} to end\n", on="err")
            assert (await first.end(signal.SIGTERM)).code == 0
            await second.says("\n")
            assert (await second.end(signal.SIGTERM)).code == 0


async def test_a_server_directory_that_holds_other_things(terminal: Terminal) -> None:
    (terminal.home / "letters").mkdir()
    (terminal.home / "letters" / "letter.txt").write_text("Dear …")
    ended = await terminal.run("server", "run", "--kind", "prosody", "--directory", terminal.home / "letters")
    assert ended.code == 1
    assert "holds other things; choose a new or empty one" in ended.err
    assert [each.name for each in (terminal.home / "letters").iterdir()] == ["letter.txt"]
