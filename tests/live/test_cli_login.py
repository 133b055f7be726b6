"""Commands that cannot log in, and servers and outboxes that cannot be used."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from iotxmpp.server.certificate import renewed
from tests.live.cli_house import ELSEWHERE, agent_file, changed, one_line, saved
from tests.live.site import Site, name_of
from tests.live.terminal import Terminal


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
