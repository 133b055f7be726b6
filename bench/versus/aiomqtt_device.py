"""The device as a user of aiomqtt writes it: JSON, QoS 1."""

import asyncio
import time

from orders import Orders

from versus.feeds import ONE, by_tasks, stamps, value
from versus.mqtt_clients import client
from versus.obeying import Order, Work, obey
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

        async def stamp(moment: int) -> None:
            await mqtt.publish(topic, made(device, moment).model_dump_json(), qos=1)

        async def one_stamp(_order: Order) -> dict[str, list[int]]:
            return await stamps(stamp, ONE)

        async def many_stamps(order: Order) -> dict[str, list[int]]:
            return await stamps(stamp, order)

        orders.ready(device)
        works: dict[str, Work] = {
            "singles": singles,
            "batches": batches,
            "stamp": one_stamp,
            "stamps": many_stamps,
        }
        await obey(orders, works)


if __name__ == "__main__":
    asyncio.run(main())
