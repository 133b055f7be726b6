"""A controller that looks for devices seldom, and devices that publish before it has joined them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from iotxmpp.about import About, Channel
from iotxmpp.addresses import DeviceNodes, NodeAddress, device_id
from iotxmpp.controller import Controller, Device, discovery
from iotxmpp.link import Link
from iotxmpp.provisioning import NodePolicy
from iotxmpp.readings import Reading
from tests.unit.controller_world import HOUSE, World, about_of

GAP = 0.2
"""Seconds from the controller's start to its next discovery: time to publish before it."""


@asynccontextmanager
async def empty_world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A server without devices, on which a controller's next discovery comes soon."""
    monkeypatch.setattr(discovery, "LEAST_GAP", GAP)
    world = World()
    yield world
    await world.close()


class Watched:
    """A controller that looks for devices by itself but once an hour, and what its handler got."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.readings: list[tuple[str, object]] = []
        self.rounds = 0
        self._count_rounds()

        @controller.on_reading
        async def take(reading: Reading, device: Device) -> None:
            self.readings.append((device.id, reading.value))

    @property
    def link(self) -> Link:
        assert self.controller._link is not None
        return self.controller._link

    @property
    def values(self) -> list[object]:
        return [value for _, value in self.readings]

    @property
    def lost(self) -> float:
        return self._metric("iotxmpp_early_items_lost_total")

    def packs(self, name: str) -> float:
        return self._metric(f'iotxmpp_packs_total{{device="{name}"}}')

    def _metric(self, name: str) -> float:
        lines = self.controller.metrics.text().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def _count_rounds(self) -> None:
        nodes = self.link.nodes

        async def counted(service: str, *, timeout: float = 10.0) -> list[NodeAddress]:
            self.rounds += 1
            return await nodes(service, timeout=timeout)

        self.link.nodes = counted  # type: ignore[method-assign]  # a double


async def watched(world: World, **options: object) -> Watched:
    return Watched(await world.controller(discover_every=3600, **options))


def described(high: float) -> About:
    return about_of("late", channels={"temperature": Channel(type="float", unit="Cel", range=(0, high))})


async def only_readings(world: World, name: str) -> None:
    """Nodes of which the controller reads but one: no device of its own."""
    nodes = DeviceNodes(service=world.server.service, device=device_id(name))
    jid = f"{name}@localhost"
    await world.server.create_account(jid, "secret")
    await world.server.create_node(nodes.readings, NodePolicy(publisher=jid, readers=(HOUSE,), keep=0))
    await world.server.create_node(nodes.about, NodePolicy(publisher=jid, readers=(), keep=1))
