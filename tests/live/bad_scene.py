"""A device and its controller on a real server, and what a device would not send by itself."""

import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from iotxmpp import Agent, Controller
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, NodeAddress
from iotxmpp.controller import Rejection
from iotxmpp.payloads import json_element
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.stanzas import PUBSUB
from tests.contract.world import Collected
from tests.live.conftest import Administered
from tests.live.greenhouse import link_of
from tests.live.site import Site, name_of, nodes_of

TOO_LARGE = 300_000
"""Characters that no server takes in one stanza."""

fresh_numbers = itertools.count(1)


@dataclass(kw_only=True)
class Scene:
    """One device and its controller, for the whole module; the device has another link of its own for what
    its agent would not send."""

    site: Site
    house: Account
    device: Account
    agent: Agent
    raw: XmppLink
    controller: Controller
    values: Collected[float]
    called: list[str] = field(default_factory=list)

    @property
    def name(self) -> DeviceId:
        return name_of(self.device)

    @property
    def readings(self) -> NodeAddress:
        return nodes_of(self.device).readings

    @property
    def own_link(self) -> XmppLink:
        """The agent's."""
        return link_of(self.agent)

    async def a_good_reading_arrives(self) -> None:
        value = float(next(fresh_numbers))
        await self.agent.publish("number", value)
        await self.values.until(lambda came: came == value)

    async def rejected(self, marked: float) -> list[Rejection]:
        """What was rejected since."""
        return await self.controller.rejections(device=self.name, since=marked)


@asynccontextmanager
async def open_scene(administered: Administered, folder: Path) -> AsyncIterator[Scene]:
    server, admin = administered
    async with Site(server, folder, admin=admin) as site:
        house = await site.account("house")
        device = await site.device("greenhouse", house)
        agent, controller, values = Agent(device), site.controller(house, metrics_port=0), Collected[float]()
        agent.channel("temperature", type="float", unit="Cel", range=(-40, 85))
        agent.channel("number", type="float")
        agent.channel("note", type="str")
        called: list[str] = []

        @agent.command
        async def water() -> None:
            called.append("water")

        @controller.on_reading("number")
        async def take(value: float) -> None:
            values.add(value)

        async with agent, controller:
            await controller.wait_for(name_of(device))
            raw = await site.link(device)
            yield Scene(
                site=site,
                house=house,
                device=device,
                agent=agent,
                raw=raw,
                controller=controller,
                values=values,
                called=called,
            )


def publishing(node: NodeAddress, *payloads: Element, item_id: str, **attributes: str) -> Element:
    """The request that publishes an item, good or bad (XEP-0060 section 7.1)."""
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    publish = SubElement(pubsub, f"{{{PUBSUB}}}publish", {"node": node.node})
    SubElement(publish, f"{{{PUBSUB}}}item", {"id": item_id, **attributes}).extend(payloads)
    return pubsub


def other_element() -> Element:
    element = Element("{urn:example:weather}weather")
    element.text = "fine"
    return element


def pack(name: str, **record: object) -> Callable[[DeviceId], list[Element]]:
    """A pack of one record; `NAME` stands for the device's id."""

    def make(device: DeviceId) -> list[Element]:
        whole = {"n": name.replace("NAME", device), "t": time.time(), **record}
        return [json_element(json.dumps([whole]))]

    return make
