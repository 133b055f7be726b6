"""Many clients of aiomqtt in one process, each with its own connection."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import aiomqtt
from orders import Orders

from versus.feeds import value
from versus.fleet_pace import pace
from versus.mqtt_clients import client
from versus.obeying import Order, obey
from versus.peer_reading import made


async def hand(mqtt: aiomqtt.Client, device: str, number: int) -> None:
    """Publishes one reading of one device."""
    await mqtt.publish(f"readings/{device}", made(device, value(number)).model_dump_json(), qos=1)


async def hand_stamp(mqtt: aiomqtt.Client, device: str, _number: int) -> None:
    """Publishes the moment of its publishing."""
    await mqtt.publish(f"readings/{device}", made(device, time.monotonic_ns()).model_dump_json(), qos=1)


async def main() -> None:
    """Plays them all."""
    orders = await Orders.open()
    identity = await orders.identity()
    async with AsyncExitStack() as stack:
        clients = {
            device: await stack.enter_async_context(
                client(
                    identity, device, max_inflight_messages=0, max_concurrent_outgoing_calls=identity["calls"]
                )
            )
            for device in identity["devices"]
        }

        async def paced(order: Order) -> dict[str, float]:
            way = hand_stamp if order.get("stamps") else hand
            hands = [partial(way, mqtt, device) for device, mqtt in clients.items()]
            return {"handed": await pace(hands, rate=order["rate"], seconds=order["seconds"])}

        async def stamp(order: Order) -> dict[str, float]:
            device = identity["devices"][order["which"] % len(clients)]
            await hand_stamp(clients[device], device, 0)
            return {}

        orders.ready(f"{len(clients)} clients")
        await obey(orders, {"pace": paced, "stamp": stamp})


if __name__ == "__main__":
    asyncio.run(main())
