"""A house for the golden matrix: a device and its controller, and one person of each role."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iotxmpp import Agent, Controller
from iotxmpp.access import Access, Grant
from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid
from iotxmpp.link import Message, Presence
from iotxmpp.xmpp import XmppLink
from tests.contract.world import Collected
from tests.live.site import PATIENCE, Site, name_of


@dataclass(kw_only=True)
class Person:
    """Somebody with a role, and what they saw and were told."""

    role: str
    link: XmppLink
    presences: Collected[Presence] = field(default_factory=Collected)
    told: Collected[Message] = field(default_factory=Collected)

    def sees(self, jid: str) -> bool:
        """Whether that session was seen as available."""
        return any(each.sender == jid and each.available for each in self.presences.all)

    def was_told(self, sender: str, text: str) -> bool:
        """Whether that session wrote a message that holds the text."""
        return any(each.sender == sender and text in each.text for each in self.told.all)


@dataclass(kw_only=True)
class House:
    """A device, its controller, and everybody."""

    site: Site
    agent: Agent
    controller: Controller
    people: list[Person]
    neighbour: XmppLink
    ran: set[tuple[str, str]]
    go: asyncio.Event

    @property
    def device(self) -> str:
        """The device's session."""
        return str(running(self.agent)._link.jid)

    @property
    def desk(self) -> str:
        """The controller's session, which whoever is no friend of it would have to guess."""
        return self.controller._running()._link.jid

    @property
    def id(self) -> str:
        """The device's id."""
        return self.agent.device


def running(agent: Agent) -> Any:  # noqa: ANN401  # what runs inside an agent is its own
    assert agent._running is not None
    return agent._running


def equipped(
    device: Account, access: Access, folder: Path
) -> tuple[Agent, set[tuple[str, str]], asyncio.Event]:
    """A device that notes which of its commands ran, for which cell of the table."""
    agent = Agent(device, access=access, outbox=folder / "outbox.db")
    ran, go = set[tuple[str, str]](), asyncio.Event()

    @agent.command(role="observer")
    def look(note: str = "") -> None:
        ran.add(("look", note))

    @agent.command
    def water(note: str = "") -> str:
        ran.add(("water", note))
        return "did water"

    @agent.command
    def vent(note: str = "") -> str:
        ran.add(("vent", note))
        return "did vent"

    @agent.command(role="maintainer")
    def reset(note: str = "") -> None:
        ran.add(("reset", note))

    @agent.command
    async def hold() -> None:
        ran.add(("hold", ""))
        await go.wait()

    @agent.setting("lamp")
    def lamp(percent: int = 0) -> None:
        ran.add(("lamp", str(percent)))

    return agent, ran, go


async def befriend(device: Account, friend: XmppLink) -> None:
    """Has the device's server show its presence to a friend from now on, whatever it decides later."""
    seen = Collected[Presence]()
    cancel = friend.on_presence(seen)
    link = XmppLink(device)
    link.admit(lambda jid: jid == bare_jid(friend.jid))
    async with link:
        await friend.follow(device.jid)
        await seen.until(lambda each: each.sender == link.jid and each.available)
    cancel()


@asynccontextmanager
async def inhabited(site: Site, roles: Sequence[str]) -> AsyncIterator[House]:
    """A house where everybody has come, and follows whom they would like to see.

    Args:
        site: Where it stands.
        roles: One person for each; a friend is a contact of the device from before.
    """
    house = await site.account("house")
    accounts = {role: house if role == "controller" else await site.account(role) for role in roles}
    neighbour = await site.account("neighbour")
    device = await site.device("hall", house)
    held = {accounts[role].jid: role for role in ("observer", "gardener", "operator", "maintainer")}
    access = Access(
        [Grant(who=who, role=role) for who, role in {**held, neighbour.jid: "operator"}.items()],
        {"gardener": ["water", "look"]},
    )
    people = [Person(role=role, link=await site.link(account)) for role, account in accounts.items()]
    for each in people:
        if each.role == "friend":
            await befriend(device, each.link)
    agent, ran, go = equipped(device, access, site.folder)
    for each in people:
        each.link.on_presence(each.presences)
        each.link.on_message(each.told)
    async with site.controller(house, access=access) as controller, agent:
        await controller.wait_for(name_of(device), timeout=PATIENCE)
        for each in people:
            for followed in {device.jid, house.jid} - {bare_jid(each.link.jid)}:
                await each.link.follow(followed)
        yield House(
            site=site,
            agent=agent,
            controller=controller,
            people=people,
            neighbour=await site.link(neighbour),
            ran=ran,
            go=go,
        )
