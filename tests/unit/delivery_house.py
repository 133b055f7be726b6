"""An agent with a channel, and a link on which what holds a certain value fails."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import Agent
from iotxmpp.addresses import NodeAddress
from iotxmpp.agent import publisher
from iotxmpp.link import Link
from iotxmpp.memory import MemoryLink
from iotxmpp.payloads import JSON_TAG, PACK_TAG, pack_text
from iotxmpp.senml import decode, numbers_of, parse_item_id
from tests.unit.agent_house import NODES, House, account, until


def json_in(payload: Element) -> str:
    """The JSON of an item; empty for a gap record."""
    return pack_text(payload) if payload.tag in {JSON_TAG, PACK_TAG} else ""


class BadLink(MemoryLink):
    """Fails to publish what holds a certain value."""

    times = 1000
    tries = 0
    bad: Callable[[], Exception] = AssertionError

    async def publish(self, node: NodeAddress, payload: Element, **more: Any) -> None:  # noqa: ANN401  # passed on
        if '"v":666' in json_in(payload) and self.times > 0:
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
    return next(reading.epoch for reading in reversed(house.readings) if reading.value in values)


class GateLink(MemoryLink):
    """Keeps readings waiting while its gate is closed; notes how many packs were in flight at once.

    Attributes:
        gate: Closed while it is not set.
        sent: The numbers in each pack, in the order of sending.
        flying: Packs in flight.
        alongside: How many were in flight when each pack was sent, itself included.
        errors: What becomes of the packs that hold a number, once each.
    """

    def __init__(self, *of: Any) -> None:  # noqa: ANN401  # what any link is made of
        super().__init__(*of)
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent: list[list[int]] = []
        self.flying = 0
        self.alongside: list[int] = []
        self.errors: dict[int, Exception] = {}

    async def publish(self, node: NodeAddress, payload: Element, *, item_id: str, **more: Any) -> None:  # noqa: ANN401  # passed on
        if not json_in(payload) or node != NODES.readings:
            await super().publish(node, payload, item_id=item_id, **more)
            return
        numbers = numbers_of(decode(json_in(payload)), first_seq=parse_item_id(item_id)[1])
        self.sent.append(numbers)
        self.flying += 1
        self.alongside.append(self.flying)
        try:
            await self.gate.wait()
            for number in self.errors.keys() & set(numbers):
                raise self.errors.pop(number)
            await super().publish(node, payload, item_id=item_id, **more)
        finally:
            self.flying -= 1


def open_gate_link(house: House, monkeypatch: pytest.MonkeyPatch) -> GateLink:
    """The link that the house's agent gets."""
    link = GateLink(account("greenhouse"), house.server._hub)
    house.server._links.append(link)
    monkeypatch.setattr(publisher, "AGAIN", 0.005)
    monkeypatch.setattr("iotxmpp.agent.agent.open_link", lambda _: link)
    return link
