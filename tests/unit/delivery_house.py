"""An agent with a channel, and a link on which what holds a certain value fails."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest

from iotxmpp import Agent
from iotxmpp.addresses import NodeAddress
from iotxmpp.agent import publisher
from iotxmpp.link import Link
from iotxmpp.memory import MemoryLink
from tests.unit.agent_house import House, account, until


class BadLink(MemoryLink):
    """Fails to publish what holds a certain value."""

    times = 1000
    tries = 0
    bad: Callable[[], Exception] = AssertionError

    async def publish(self, node: NodeAddress, payload: Element, **more: Any) -> None:  # noqa: ANN401  # passed on
        if '"v":666' in tostring(payload, encoding="unicode") and self.times > 0:
            self.times -= 1
            self.tries += 1
            raise self.bad()
        await super().publish(node, payload, **more)


def open_bad_link(house: House, monkeypatch: pytest.MonkeyPatch) -> BadLink:
    """The link that the house's agent gets."""
    link = BadLink(account("greenhouse"), house.server._hub)
    house.server._links.append(link)
    monkeypatch.setattr(publisher, "AGAIN", 0.005)

    def make(_: object) -> Link:
        return link

    monkeypatch.setattr("iotxmpp.agent.agent.open_link", make)
    return link


def level(house: House, **more: Any) -> Agent:  # noqa: ANN401  # an agent's own arguments
    agent = house.agent(**more)
    agent.channel("level", type="int")
    return agent


def path_of(agent: Agent) -> Path:
    assert agent.outbox_path is not None
    return agent.outbox_path


async def published(house: House, agent: Agent, *values: int) -> str:
    """Publishes and waits until it arrived; the epoch."""
    await asyncio.gather(*(agent.publish("level", value) for value in values))
    await until(lambda: set(values) <= set(house.values("level")))
    return house.readings[-1].epoch
