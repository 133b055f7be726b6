"""The queue and the desk on real servers: a device that comes later, our own account, another person's."""

import pytest

from iotxmpp import Agent
from iotxmpp.access import Access, Grant
from iotxmpp.controller.desk_client import ask_desk, call_by_desk, find_controller
from iotxmpp.errors import DeviceAwayError
from tests.live.site import PATIENCE, Site, name_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def greenhouse(site: Site, account: object) -> Agent:
    agent = Agent(account, outbox=site.folder / "outbox.db")  # type: ignore[arg-type]  # an account, as the site made it

    @agent.command
    async def water(seconds: int = 10) -> str:
        return f"watered for {seconds} s"

    return agent


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
