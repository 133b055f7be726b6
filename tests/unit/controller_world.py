"""A server in memory with devices that are played by hand, and a controller."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from pydantic import SecretStr

from iotxmpp.about import About, Channel, CommandAbout
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceNodes, device_id
from iotxmpp.controller import Controller, Rejection
from iotxmpp.link import Link, Presence
from iotxmpp.memory import MemoryServer
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from iotxmpp.status import DeviceStatus

HOUSE = "house@localhost"
SOON = 2.0

CHANNELS = {
    "temperature": Channel(type="float", unit="Cel", range=(-40, 85)),
    "humidity": Channel(type="float", unit="%RH", range=(0, 100)),
    "count": Channel(type="int"),
    "door": Channel(type="bool"),
    "note": Channel(type="str"),
}


def about_of(name: str, **changes: Any) -> About:  # noqa: ANN401  # a model checks them
    return About(**{"device": name, "channels": CHANNELS, "commands": {"water": CommandAbout()}, **changes})


def account(jid: str) -> Account:
    return Account(jid=jid, password=SecretStr("secret"))


def pack(name: str, *records: dict[str, object], at: float | None = None) -> Element:
    first: dict[str, object] = {"bn": f"{name}/", "bt": time.time() if at is None else at}
    return json_element(json.dumps([{**first, **records[0]}, *records[1:]]))


def records_in(payload: Element) -> int:
    try:
        return len(json.loads(payload.text or ""))
    except ValueError:
        return 1


def temperature(name: str, value: float) -> Element:
    return pack(name, {"n": "temperature", "u": "Cel", "v": value})


async def until(condition: Callable[[], object], timeout: float = SOON) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.005)


@dataclass
class PlayedDevice:
    """A device whose every stanza a test makes by hand."""

    name: str
    link: Link
    nodes: DeviceNodes
    epoch: str = "e1"
    next: int = 1

    async def describe(self, about: About | Element) -> None:
        payload = json_element(about.model_dump_json()) if isinstance(about, About) else about
        await self.link.publish(self.nodes.about, payload, item_id="current")

    async def publish(self, payload: Element, *, item_id: str | None = None) -> None:
        """Publishes an item; unless it is named, as the device's next readings."""
        if item_id is None:
            item_id = f"{self.epoch}.{self.next}"
            self.next += records_in(payload)
        await self.link.publish(self.nodes.readings, payload, item_id=item_id)

    async def read(self, value: float) -> None:
        await self.publish(temperature(self.name, value))

    async def say(self, **status: Any) -> None:  # noqa: ANN401  # a model checks them
        element = DeviceStatus(**{"heartbeat": 30, "uptime": 1, "version": "0.1.0", **status}).element()
        await self.link.announce(Presence(extensions=(element,)))


class World:
    """The server, and ways to put devices and a controller there."""

    def __init__(self) -> None:
        self.server = MemoryServer(max_bytes=1_000_000)
        self._links = AsyncExitStack()

    async def close(self) -> None:
        """Closes the controllers' links."""
        await self._links.aclose()

    async def add(
        self, name: str, *, publisher: str | None = None, readers: tuple[str, ...] = (HOUSE,)
    ) -> None:
        nodes = DeviceNodes(service=self.server.service, device=device_id(name))
        jid = publisher or f"{name}@localhost"
        await self.server.create_account(f"{name}@localhost", "secret", renew=True)
        await self.server.create_account(jid, "secret", renew=True)
        await self.server.create_node(nodes.about, NodePolicy(publisher=jid, readers=readers, keep=1))
        await self.server.create_node(nodes.readings, NodePolicy(publisher=jid, readers=readers, keep=0))

    @asynccontextmanager
    async def device(
        self, name: str, *, jid: str | None = None, describe: bool = True, admits: bool = True
    ) -> AsyncIterator[PlayedDevice]:
        nodes = DeviceNodes(service=self.server.service, device=device_id(name))
        link = self.server.link(account(jid or f"{name}@localhost"))
        link.admit(lambda _jid: admits)
        async with link:
            played = PlayedDevice(name, link, nodes)
            if describe:
                await played.describe(about_of(name))
            yield played

    async def controller(self, **options: Any) -> Controller:  # noqa: ANN401  # the controller's own
        await self.server.create_account(HOUSE, "secret", renew=True)
        options = {"store": "sqlite://", "discover_every": 0.05, **options}
        link = await self._links.enter_async_context(self.server.link(account(HOUSE)))
        return Controller(account(HOUSE), link=link, **options)


@asynccontextmanager
async def hall_world() -> AsyncIterator[World]:
    """A controller's account, and a device's with its nodes."""
    world = World()
    await world.add("hall")
    yield world
    await world.close()


async def kept(controller: Controller, count: int = 1) -> list[Rejection]:
    """The rejections, once there are so many."""
    async with asyncio.timeout(SOON):
        while len(found := await controller.rejections()) < count:  # noqa: ASYNC110  # the store has no event
            await asyncio.sleep(0.005)
    return found
