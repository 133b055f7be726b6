"""A controller with nothing but twins, and a device that takes what it desires."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.addresses import DeviceNodes, device_id
from iotxmpp.backoff import Backoff
from iotxmpp.controller import Rejection, Store
from iotxmpp.controller.device import Device
from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.controller.twin import Twins
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import stanza_error
from iotxmpp.link import Cancel, Presence, Request, RequestHandler
from iotxmpp.memory import MemoryLink
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from iotxmpp.status import parse_status
from iotxmpp.twin import DESIRED_TAG, SEND_ALL, Desired, Reported, Twin, merged, parse_desired
from tests.unit.agent_house import quick
from tests.unit.controller_world import HOUSE, PlayedDevice, World, account


@asynccontextmanager
async def twin_world() -> AsyncIterator[World]:
    """A controller's account, and a device's with its nodes, that for its state among them."""
    world = World()
    await world.server.create_account(HOUSE, "secret")
    await add(world, "hall")
    yield world
    await world.close()


async def add(world: World, name: str) -> None:
    await world.add(name)
    policy = NodePolicy(publisher=f"{name}@localhost", readers=(HOUSE,), keep=2)
    await world.server.create_node(nodes_of(world, name).state, policy)


def nodes_of(world: World, name: str) -> DeviceNodes:
    return DeviceNodes(service=world.server.service, device=device_id(name))


@dataclass
class Hand:
    """A device that takes desired settings as the protocol says."""

    played: PlayedDevice
    got: list[Desired] = field(default_factory=list)
    lineage: str = ""
    version: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)
    cancel: Cancel | None = None

    def serve(self, handler: RequestHandler) -> None:
        """Takes desired settings with this from now on."""
        if self.cancel is not None:
            self.cancel()
        self.cancel = self.played.link.serve(DESIRED_TAG, handler)

    async def take(self, request: Request) -> Element | None:
        desired = parse_desired(request.payload)
        self.got.append(desired)
        if self.faults:
            raise self.faults.pop(0)
        known = self.version if desired.lineage == self.lineage else 0
        if known and desired.version <= known:
            return None
        if desired.base not in {0, known}:
            raise stanza_error("item-not-found", "send all", SEND_ALL)
        self.settings = merged(self.settings if desired.base else {}, desired.changes)
        self.lineage, self.version = desired.lineage, desired.version
        return None

    async def report(self, **changes: Any) -> None:  # noqa: ANN401  # a report's own fields
        given = {"lineage": self.lineage, "desired": self.version, "settings": self.settings, **changes}
        await self.publish(Reported(**given).json())

    async def publish(self, text: str, *, item_id: str = "reported") -> None:
        await self.played.link.publish(self.played.nodes.state, json_element(text), item_id=item_id)


@asynccontextmanager
async def hand(world: World, name: str = "hall", *, why: str = "start") -> AsyncIterator[Hand]:
    async with world.device(name) as played:
        taking = Hand(played)
        taking.serve(taking.take)
        await played.say(why=why)
        yield taking


@dataclass
class Desk:
    """A controller with nothing but twins."""

    link: MemoryLink
    twins: Twins
    hall: Device
    store: Store
    told: list[Twin]
    rejected: list[Rejection]

    async def desire(self, **settings: Any) -> Twin:  # noqa: ANN401  # any JSON
        return await self.twins.desire(self.hall, settings, by="ann@example.org")

    @property
    def twin(self) -> Twin:
        return self.twins.of(self.hall)


@asynccontextmanager
async def desk(world: World, url: str = "sqlite://", *, keeps: bool = True) -> AsyncIterator[Desk]:
    async with world.server.link(account(HOUSE)) as link:
        store, told, rejected = Store(url), list[Twin](), list[Rejection]()
        writer = Writer(store)

        async def tell(_device: Device, twin: Twin) -> None:
            told.append(twin)

        twins = Twins(
            link,
            service=world.server.service,
            rows=TwinRows(store.database) if keeps else None,
            between=writer.between if keeps else None,
            reject=rejected.append,
            tell=tell,
            backoff=quick_backoff,
        )
        hall = Device(device_id("hall"), "hall@localhost", link=link, twins=twins)

        async def seen(presence: Presence) -> None:
            hall.sessions.see(presence, parse_status(presence.extensions))
            twins.look(hall)

        link.on_presence(seen)
        link.on_state(lambda state: hall.sessions.link_up(resumed=state.resumed) if state.up else None)
        link.on_state(twins.link_changed)
        await link.follow("hall@localhost")
        twins.join(hall)
        try:
            yield Desk(link, twins, hall, store, told, rejected)
        finally:
            await twins.close()
            await writer.close()


def quick_backoff(**_more: float) -> Backoff:
    return quick()
