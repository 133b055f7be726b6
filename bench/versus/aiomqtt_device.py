"""The device as a user of aiomqtt writes it: JSON, QoS 1."""

import asyncio
import time

from orders import Orders

from versus.feeds import by_tasks, value
from versus.mqtt_clients import client
from versus.obeying import Order, obey
from versus.peer_reading import BATCH, made


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    device = identity["device"]
    topic = f"readings/{device}"
    async with client(
        identity,
        device,
        max_inflight_messages=identity.get("inflight"),
        max_concurrent_outgoing_calls=identity.get("calls"),
    ) as mqtt:

        async def hand(number: int) -> None:
            await mqtt.publish(topic, made(device, value(number)).model_dump_json(), qos=1)

        async def singles(order: Order) -> dict[str, float]:
            begun = time.monotonic()
            await by_tasks(hand, order["readings"], tasks=order["tasks"])
            return {"begun": begun}

        async def batches(order: Order) -> dict[str, float]:
            size = order["size"]

            async def batch(number: int) -> None:
                readings = [made(device, value(number * size + each)) for each in range(size)]
                await mqtt.publish(topic, BATCH.dump_json(readings), qos=1)

            begun = time.monotonic()
            await by_tasks(batch, order["readings"] // size, tasks=order["tasks"])
            return {"begun": begun}

        async def stamp(_order: Order) -> dict[str, float]:
            await mqtt.publish(topic, made(device, time.monotonic_ns()).model_dump_json(), qos=1)
            return {}

        orders.ready(device)
        await obey(orders, {"singles": singles, "batches": batches, "stamp": stamp})


if __name__ == "__main__":
    asyncio.run(main())
