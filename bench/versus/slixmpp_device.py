"""The device as a user of slixmpp writes it."""

import asyncio
import time

from orders import Orders

from versus.feeds import by_tasks, value
from versus.obeying import Order, obey
from versus.peer_reading import made
from versus.slixmpp_clients import PlainClient


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    device = identity["device"]
    client = PlainClient(identity)
    await client.start()

    async def hand(number: int) -> None:
        await client.publish_json(made(device, value(number)).model_dump_json())

    async def singles(order: Order) -> dict[str, float]:
        begun = time.monotonic()
        await by_tasks(hand, order["readings"], tasks=order["tasks"])
        return {"begun": begun}

    orders.ready(device)
    await obey(orders, {"singles": singles})
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
