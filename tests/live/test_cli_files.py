"""Files that the program is given: what is wrong in them is told."""

import asyncio

from tests.live.cli_house import ELSEWHERE, one_line, saved
from tests.live.site import Site
from tests.live.terminal import Terminal


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
