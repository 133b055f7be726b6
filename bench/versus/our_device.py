"""The device with iotxmpp: an agent with its outbox on disk."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orders import Orders

from iotxmpp import Account, Agent
from iotxmpp.agent.outbox.settings import OutboxSettings
from versus.feeds import ONE, by_tasks, late, stamps, value
from versus.obeying import Order, obey
from versus.pack_bound import bound_packs

CHANNEL = "temperature"
POLL = 0.005
BURST = 50
"""Readings that are taken before others get a turn."""


class Device:
    """The agent, and what it is told to do."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.account = Account.model_validate(identity["account"])
        self.agent = Agent(
            self.account, outbox=OutboxSettings(path=Path(identity["outbox"]), **identity.get("settings", {}))
        )
        self.agent.channel(CHANNEL, type="float", unit="Cel")
        self.agent.channel("stamp", type="int")
        self._wide = [f"{CHANNEL}/{number}" for number in range(identity.get("wide", 0))]
        for name in self._wide:
            self.agent.channel(name, type="float", unit="Cel")
        self._load: asyncio.Task[None] | None = None

    async def singles(self, order: Order) -> dict[str, float]:
        """Reading after reading, by tasks that wait for `publish`."""
        begun = time.monotonic()
        await by_tasks(self._publish, order["readings"], tasks=order["tasks"])
        return {"begun": begun, **await self._settled()}

    async def stream(self, order: Order) -> dict[str, float]:
        """Reading after reading, as a driver gives them; not more than so many that nobody has yet."""
        take, rest = self._taking(), order["readings"]
        begun = time.monotonic()
        while rest:
            for number in range(min(rest, BURST)):
                take({CHANNEL: value(rest - number)})
            rest -= min(rest, BURST)
            await self._room(order["ahead"])
        return {"begun": begun, **await self._settled()}

    async def samples(self, order: Order) -> dict[str, float]:
        """Samples of many channels, likewise."""
        take, wide = self._taking(), self._wide
        begun = time.monotonic()
        for number in range(0, order["readings"], len(wide)):
            take({name: value(number + each) for each, name in enumerate(wide)})
            await self._room(order["ahead"])
        return {"begun": begun, **await self._settled()}

    async def batches(self, order: Order) -> dict[str, float]:
        """Batch after batch, by tasks that wait for `publish_many`.

        The readings of each are of one moment, or so many seconds apart.
        """
        size, apart = order["size"], order.get("apart")
        since = time.time() - order["readings"] * (apart or 0)

        async def batch(number: int) -> None:
            numbers = range(number * size, (number + 1) * size)
            if apart is None:
                await self.agent.publish_many([(CHANNEL, value(each)) for each in numbers])
            else:
                timed = [(CHANNEL, value(each), since + each * apart + late(each)) for each in numbers]
                await self.agent.publish_many(timed)

        begun = time.monotonic()
        await by_tasks(batch, order["readings"] // size, tasks=order["tasks"])
        return {"begun": begun, **await self._settled()}

    async def stamp(self, _order: Order) -> dict[str, list[int]]:
        """The moment at which it is published; the answer comes when `publish` has returned."""
        return await stamps(self._stamp, ONE)

    async def stamps(self, order: Order) -> dict[str, list[int]]:
        """So many of them, whether those before are acknowledged or not."""
        return await stamps(self._stamp, order)

    async def load(self, order: Order) -> dict[str, float]:
        """So many readings a second from now on, beside all else; 0 ends that."""
        if self._load is not None:
            self._load.cancel()
            await asyncio.gather(self._load, return_exceptions=True)
        self._load = asyncio.create_task(self._steadily(order["rate"])) if order["rate"] else None
        return {}

    async def _steadily(self, rate: float) -> None:
        take, loop = self._taking(), asyncio.get_running_loop()
        begun, count = loop.time(), 0
        while True:
            for number in range(count, int((loop.time() - begun) * rate)):
                take({CHANNEL: value(number)})
                count += 1
            await asyncio.sleep(POLL)

    async def _stamp(self, moment: int) -> None:
        await self.agent.publish("stamp", moment)

    async def _publish(self, number: int) -> None:
        await self.agent.publish(CHANNEL, value(number))

    def _taking(self) -> Callable[[dict[str, float]], None]:
        outlet = self.agent.outlet()
        if outlet is None:
            raise RuntimeError("the agent does not run")
        take = outlet.take
        return lambda values: take(values, None)

    async def _room(self, ahead: int) -> None:
        await asyncio.sleep(0)
        while self.agent.status.buffered >= ahead:  # noqa: ASYNC110  # nothing tells of an ack
            await asyncio.sleep(POLL)

    async def _settled(self) -> dict[str, float]:
        while self.agent.status.buffered:  # noqa: ASYNC110  # nothing tells of the last ack
            await asyncio.sleep(POLL)
        if self.agent.status.dropped:
            raise RuntimeError(f"{self.agent.status.dropped} readings were dropped")
        return {}


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    if "pack" in identity:
        bound_packs(identity["pack"])
    device = Device(identity)
    async with device.agent:
        orders.ready(device.account.jid)
        works = ("singles", "batches", "stream", "samples", "stamp", "stamps", "load")
        await obey(orders, {name: getattr(device, name) for name in works})


if __name__ == "__main__":
    asyncio.run(main())
