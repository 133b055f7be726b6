"""The queue and the desk on real servers: a device that comes later, our own account, another person's."""

import json
from collections.abc import Iterator

import pytest

from iotxmpp import Agent
from iotxmpp.access import Access, Grant
from iotxmpp.controller.desk_client import ask_desk, call_by_desk, find_controller
from iotxmpp.errors import DeviceAwayError
from tests.live.site import PATIENCE, Site, name_of
from tests.live.terminal import Terminal
from tests.servers import server_directory

pytestmark = pytest.mark.asyncio(loop_scope="module")


def greenhouse(site: Site, account: object) -> Agent:
    agent = Agent(account, outbox=site.folder / "outbox.db")  # type: ignore[arg-type]  # an account, as the site made it

    @agent.command
    async def water(seconds: int = 10) -> str:
        return f"watered for {seconds} s"

    @agent.command
    async def echo(text: str) -> str:
        return text

    return agent


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


async def test_a_command_waits_for_a_device_and_is_reached_by_both_accounts(site: Site) -> None:
    house, ann, stranger = [await site.account(name) for name in ("house", "ann", "stranger")]
    device = await site.device("hall", house)
    access = Access((Grant(who=ann.jid, role="operator", devices=(str(name_of(device)),)),))
    async with greenhouse(site, device):
        pass  # it has described itself, and is away
    async with site.controller(house, access=access) as controller:
        away = await controller.wait_for(name_of(device), online=None, timeout=PATIENCE)
        ticket = await away.queue("water", {"seconds": 1}, ttl="1m")
        other = await site.link(ann)
        desk = await find_controller(other, house.jid, PATIENCE)
        with pytest.raises(DeviceAwayError):
            await find_controller(await site.link(stranger), house.jid, 1.0)
        own = await site.link(house)
        assert await find_controller(own, house.jid, PATIENCE) == desk
        (listed,) = await ask_desk(other, desk, "commands", {})
        assert (listed["id"], listed["state"]) == (ticket.id, "queued")
        async with greenhouse(site, device):
            assert await ticket.result() == "watered for 1 s"
            for link in (own, other):
                result = await call_by_desk(link, desk, away.id, "water", {"seconds": 2}, ttl="1m")
                assert result == "watered for 2 s"
        assert [each.state for each in await controller.commands()] == ["done"] * 3


async def test_a_person_with_a_role_calls_lists_and_reads_by_the_command_line(
    site: Site, terminal: Terminal
) -> None:
    house, ann = [await site.account(name) for name in ("house", "ann")]
    ann.save(terminal.home / "ann.toml")
    device = await site.device("hall", house)
    name = name_of(device)
    access = Access((Grant(who=ann.jid, role="operator", devices=(str(name),)),))
    by = ("-a", "ann.toml", "--controller", house.jid)
    long = "x" * 60_000
    async with greenhouse(site, device), site.controller(house, access=access) as controller:
        await controller.wait_for(name, timeout=PATIENCE)
        one = await terminal.run("call", name, "water", "seconds=3", "--ttl", "1m", *by)
        assert (one.code, one.out) == (0, "watered for 3 s\n"), one.err
        direct = await terminal.run("call", name, "water", "seconds=4", *by)
        assert (direct.code, direct.out) == (0, "watered for 4 s\n"), direct.err
        many = await terminal.run("call", "--where", f"id={name}", "echo", f"text={long}", "--ttl", "1m", *by)
        assert (many.code, many.out) == (0, f"{name}  done: {long}\n"), many.err
        listed = await terminal.run("commands", "list", *by)
        ids = [line.split("│")[1].strip() for line in listed.out.splitlines() if "done" in line]
        assert (listed.code, len(ids)) == (0, 3), listed
        shown = await terminal.run("commands", "show", ids[-1], "--json", *by)
        assert json.loads(shown.out)["result"] == long
        refused = await terminal.run("call", "nobody", "water", "--ttl", "1m", *by)
        assert (refused.code, "has no role on nobody" in refused.err) == (7, True)
