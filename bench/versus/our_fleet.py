"""Many agents in one process, each with its own session and its own outbox on disk."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from orders import Orders

from iotxmpp import Account, Agent
from versus.feeds import by_tasks, value
from versus.fleet_pace import pace
from versus.obeying import Order, obey

CHANNEL = "temperature"
POLL = 0.01


def make(account: Account, outboxes: Path) -> Agent:
    """One of them."""
    outboxes.mkdir(exist_ok=True)
    agent = Agent(account, outbox=outboxes / f"{account.jid}.db")
    agent.channel(CHANNEL, type="float", unit="Cel")
    agent.channel("stamp", type="int")
    return agent


async def main() -> None:
    """Plays them all."""
    orders = await Orders.open()
    identity = await orders.identity()
    outboxes = Path(identity["outboxes"])
    agents = [make(Account.model_validate(account), outboxes) for account in identity["accounts"]]

    async def settled() -> None:
        while any(agent.status.buffered for agent in agents):  # noqa: ASYNC110  # nothing tells of the last ack
            await asyncio.sleep(POLL)

    async def hand(agent: Agent, number: int) -> None:
        await agent.publish(CHANNEL, value(number))

    async def hand_stamp(agent: Agent, _number: int) -> None:
        await agent.publish("stamp", time.monotonic_ns())

    async def paced(order: Order) -> dict[str, float]:
        way = hand_stamp if order.get("stamps") else hand
        handed = await pace(
            [partial(way, agent) for agent in agents], rate=order["rate"], seconds=order["seconds"]
        )
        await settled()
        return {"handed": handed}

    async def singles(order: Order) -> dict[str, float]:
        """All at once, each device so many by so many tasks."""
        begun = time.monotonic()
        await asyncio.gather(
            *(by_tasks(partial(hand, agent), order["each"], tasks=order["tasks"]) for agent in agents)
        )
        await settled()
        return {"begun": begun}

    async def stamp(order: Order) -> dict[str, float]:
        await hand_stamp(agents[order["which"] % len(agents)], 0)
        return {}

    async with AsyncExitStack() as stack:
        for agent in agents:
            await stack.enter_async_context(agent)
        orders.ready(f"{len(agents)} agents")
        await obey(orders, {"pace": paced, "singles": singles, "stamp": stamp})


if __name__ == "__main__":
    asyncio.run(main())
