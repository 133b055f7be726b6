"""A house for agents: a server in memory, a device's account and nodes, and a controller that watches."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from pydantic import SecretStr

from iotxmpp.about import About
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.agent import Agent
from iotxmpp.backoff import Backoff
from iotxmpp.commands import call_element, read_reply
from iotxmpp.delivery import GAP_TAG, Ack, Gap, parse_gap
from iotxmpp.errors import InvalidError, IotxmppError
from iotxmpp.intervals import Intervals
from iotxmpp.link import Item, Presence
from iotxmpp.memory import MemoryLink, MemoryServer
from iotxmpp.payloads import JSON_TAG, PACK_TAG, json_text, pack_text
from iotxmpp.provisioning import NodePolicy
from iotxmpp.readings import Reading
from iotxmpp.senml import decode, parse_item_id, readings_of
from iotxmpp.status import DeviceStatus, parse_status

DEVICE = DeviceId("greenhouse")
NODES = DeviceNodes(service="pubsub.example.org", device=DEVICE)
CONTROLLER = "house@example.org"
STRANGER = "stranger@example.org"

quick = partial(Backoff, choose=lambda low, high: 0.0)
"""Delays between attempts of no time."""


def account(name: str, **more: Any) -> Account:  # noqa: ANN401  # an account's own fields
    return Account(jid=f"{name}@example.org", password=SecretStr("secret"), **more)


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Returns as soon as the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # conditions of many kinds have no event in common
            await asyncio.sleep(0.002)


def readings_in(item: Item) -> list[Reading]:
    """The readings of an item of the readings node; none for any other."""
    if item.node != NODES.readings or item.payload is None or item.payload.tag not in {JSON_TAG, PACK_TAG}:
        return []
    epoch, first = parse_item_id(item.id)
    records = decode(pack_text(item.payload), received=time.time())
    return readings_of(records, device=DEVICE, epoch=epoch, first_seq=first)


class House:
    """What a controller sees of the greenhouse."""

    def __init__(self, server: MemoryServer, watcher: MemoryLink) -> None:
        self.server = server
        self.watcher = watcher
        self.items: list[Item] = []
        self.presences: list[Presence] = []
        self.seen_at: list[float] = []
        self.collects = True
        self.have: dict[str, Intervals] = {}
        self._acking: set[asyncio.Task[None]] = set()

    async def take_item(self, item: Item) -> None:
        self.items.append(item)
        if item.node != NODES.readings or item.payload is None:
            return
        if item.payload.tag == GAP_TAG:
            gap = parse_gap(item.payload)
            runs = [(gap.epoch, first, last) for first, last in gap.lost]
        else:
            runs = [(reading.epoch, reading.seq, reading.seq) for reading in readings_in(item)]
        for epoch, first, last in runs:
            self.have.setdefault(epoch, Intervals()).add(first, last)
        if self.collects:
            task = asyncio.create_task(self._ack_quietly())
            self._acking.add(task)
            task.add_done_callback(self._acking.discard)

    async def _ack_quietly(self) -> None:
        with contextlib.suppress(IotxmppError):
            await self.ack()

    async def ack(
        self, upto: Mapping[str, int] | None = None, *, again: bool = False, by: MemoryLink | None = None
    ) -> None:
        """Acknowledges what came, or what is given."""
        await until(lambda: bool(self.presences))
        if upto is None:
            upto = {epoch: numbers.contiguous for epoch, numbers in self.have.items()}
        element = Ack(upto=upto, again=again).element()
        await (by or self.watcher).call(self.presences[-1].sender, element)

    async def take_presence(self, presence: Presence) -> None:
        self.presences.append(presence)
        self.seen_at.append(time.monotonic())

    def agent(self, **more: Any) -> Agent:  # noqa: ANN401  # an agent's own arguments
        agent = Agent(account("greenhouse", controllers=(CONTROLLER,)), **more)
        agent._backoff = quick
        agent._outbox = agent._outbox.model_copy(update={"replay_delay": 0.0})
        return agent

    @property
    def readings(self) -> list[Reading]:
        found: list[Reading] = []
        for item in self.items:
            found += readings_in(item)
        return found

    @property
    def gaps(self) -> list[Gap]:
        return [
            parse_gap(item.payload)
            for item in self.items
            if item.payload is not None and item.payload.tag == GAP_TAG
        ]

    @property
    def abouts(self) -> list[About]:
        return [
            About.model_validate_json(json_text(item.payload))
            for item in self.items
            if item.node == NODES.about and item.payload is not None
        ]

    def values(self, channel: str) -> list[object]:
        return [reading.value for reading in self.readings if reading.channel == channel]

    @property
    def statuses(self) -> list[DeviceStatus]:
        found = [parse_status(presence.extensions) for presence in self.presences]
        return [status for status in found if status is not None]

    @property
    def problems(self) -> tuple[str, ...]:
        return self.statuses[-1].problems if self.statuses else ()

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        expires: float | None = None,
        by: MemoryLink | None = None,
    ) -> Any:  # noqa: ANN401  # a command's result
        await until(lambda: bool(self.presences))
        element = call_element(name, arguments or {}, id=secrets.token_hex(8), expires=expires)
        return read_reply(await (by or self.watcher).call(self.presences[-1].sender, element))

    async def create_nodes(self) -> None:
        for node, keep in ((NODES.readings, 0), (NODES.about, 1), (NODES.state, 1)):
            policy = NodePolicy(publisher="greenhouse@example.org", readers=(CONTROLLER,), keep=keep)
            await self.server.create_node(node, policy)

    async def watch(self) -> None:
        await self.watcher.subscribe(NODES.readings, self.take_item)
        await self.watcher.subscribe(NODES.about, self.take_item)


@asynccontextmanager
async def open_house(*, nodes: bool = True) -> AsyncIterator[House]:
    server = MemoryServer("example.org")
    for name in ("greenhouse", "house", "stranger"):
        await server.create_account(f"{name}@example.org", "secret")
    async with server.link(account("house")) as watcher:
        house = House(server, watcher)
        watcher.on_presence(house.take_presence)
        await watcher.follow("greenhouse@example.org")
        if nodes:
            await house.create_nodes()
            await house.watch()
        yield house


def fault(action: Callable[[], object]) -> str:
    """The text of the InvalidError that the action raises."""
    try:
        action()
    except InvalidError as error:
        return str(error)
    raise AssertionError("nothing was raised")
