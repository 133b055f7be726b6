"""A controller and one device on a real server, both connected."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from iotxmpp import Agent, Controller, Device, Reading
from iotxmpp.account import Account
from iotxmpp.link import Presence
from iotxmpp.xmpp import XmppLink
from tests.contract.world import Collected
from tests.live.site import Site, name_of

AT_ONCE = 1.0
"""Seconds; far below a command's timeout."""


@dataclass(kw_only=True)
class House:
    """A controller and one device, both connected; what the controller was given."""

    site: Site
    account: Account
    device: Account
    agent: Agent
    controller: Controller
    readings: Collected[Reading]
    presences: Collected[tuple[str, str]]

    @property
    def handle(self) -> Device:
        return self.controller.device(name_of(self.device))

    @property
    def counts(self) -> list[object]:
        """The values of `count` that arrived, in order."""
        return [reading.value for reading in self.readings.all if reading.channel == "count"]


def greenhouse(account: Account, **more: Any) -> Agent:  # noqa: ANN401  # an agent's own arguments
    """A device whose readings the test makes, and whose commands do what their names say."""
    agent = Agent(account, **more)
    agent.channel("temperature", type="float", unit="Cel", range=(-40, 85), description="under the roof")
    agent.channel("count", type="int")

    @agent.command
    async def water(seconds: int = 10) -> str:
        """Opens the valve."""
        return f"watered for {seconds} s"

    @agent.command
    def add(left: float, right: float) -> dict[str, float]:
        return {"sum": left + right}

    @agent.command
    def jam() -> None:
        raise RuntimeError("the valve is stuck")

    return agent


@asynccontextmanager
async def living(site: Site, **more: Any) -> AsyncIterator[House]:  # noqa: ANN401  # a controller's own
    """A house whose device is online."""
    account = await site.account("house")
    device = await site.device("greenhouse", account)
    agent, controller = greenhouse(device, heartbeat=20.0), site.controller(account, **more)
    readings, presences = Collected[Reading](), Collected[tuple[str, str]]()

    @controller.on_reading
    async def take_reading(reading: Reading) -> None:
        readings.add(reading)

    @controller.on_presence
    async def take_presence(device: Device, presence: Presence) -> None:
        presences.add((device.state, presence.text))

    async with agent, controller:
        await controller.wait_for(name_of(device))
        yield House(
            site=site,
            account=account,
            device=device,
            agent=agent,
            controller=controller,
            readings=readings,
            presences=presences,
        )


def link_of(agent: Agent) -> XmppLink:
    """The link that a running agent opened by itself."""
    assert agent._running is not None
    link = agent._running._link
    assert isinstance(link, XmppLink)
    return link


async def take_at_once(work: Awaitable[object]) -> None:
    async with asyncio.timeout(AT_ONCE):
        await work
