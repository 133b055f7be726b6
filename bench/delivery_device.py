"""The device of `delivery.py`: an agent that publishes as many readings as it is told to."""

import asyncio
import json
import time

from orders import Orders

from iotxmpp import Account, Agent

CHANNEL = "temperature"
POLL = 0.02


async def publish(agent: Agent, readings: int, *, tasks: int) -> None:
    """Publishes so many, by tasks that each wait for one reading before the next."""

    async def some(count: int) -> None:
        for number in range(count):
            await agent.publish(CHANNEL, 20 + number % 100 / 10)

    each, rest = divmod(readings, tasks)
    await asyncio.gather(*(some(each + (task < rest)) for task in range(tasks)))


async def publish_steadily(agent: Agent, readings: int, *, rate: float) -> None:
    """Publishes so many, so many a second, whether those before are on disk already or not."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(readings):
            await asyncio.sleep(begun + number / rate - loop.time())
            group.create_task(agent.publish(CHANNEL, 20 + number % 100 / 10))


async def main() -> None:
    """Plays the device; its answer to each order says when it began, and how it is by then."""
    orders = await Orders.open()
    identity = await orders.identity()
    agent = Agent(Account.model_validate(identity["account"]), outbox=identity["outbox"])
    agent.channel(CHANNEL, type="float", unit="Cel")
    async with agent:
        orders.ready(identity["account"]["jid"])
        async for line in orders:
            order = json.loads(line)
            begun = time.monotonic()
            if "rate" in order:
                await publish_steadily(agent, order["readings"], rate=order["rate"])
            else:
                await publish(agent, order["readings"], tasks=order["tasks"])
            while agent.status.buffered:  # noqa: ASYNC110  # nothing tells that the last ack came
                await asyncio.sleep(POLL)
            status = agent.status
            print(
                json.dumps({"begun": begun, "outbox": status.outbox, "dropped": status.dropped}), flush=True
            )
            if order.get("last"):
                break
    print("{}", flush=True)
    async for _ in orders:  # so that what it wrote can still be looked up
        pass


if __name__ == "__main__":
    asyncio.run(main())
