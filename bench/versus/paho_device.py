"""The device as a user of paho-mqtt writes it: `publish` from a thread, so many not acknowledged at most."""

import asyncio
import threading
import time
from collections.abc import Callable

from orders import Orders

from versus.feeds import value
from versus.obeying import Order, obey
from versus.paho_clients import connected, new_client
from versus.peer_reading import BATCH, made


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    device = identity["device"]
    client = new_client(device)
    client.max_inflight_messages_set(0)  # no bound but ours
    free = threading.Semaphore(0)
    client.on_publish = lambda *_: free.release()

    def publish(count: int, most: int, payload: Callable[[int], bytes]) -> None:
        for number in range(count):
            if number >= most:
                free.acquire()
            client.publish(f"readings/{device}", payload(number), qos=1)
        for _ in range(min(count, most)):
            free.acquire()

    async def singles(order: Order) -> dict[str, float]:
        def payload(number: int) -> bytes:
            return made(device, value(number)).model_dump_json().encode()

        begun = time.monotonic()
        await asyncio.to_thread(publish, order["readings"], order["tasks"], payload)
        return {"begun": begun}

    async def batches(order: Order) -> dict[str, float]:
        size = order["size"]

        def payload(number: int) -> bytes:
            return BATCH.dump_json([made(device, value(number * size + each)) for each in range(size)])

        begun = time.monotonic()
        await asyncio.to_thread(publish, order["readings"] // size, order["tasks"], payload)
        return {"begun": begun}

    with connected(client, identity):
        orders.ready(device)
        await obey(orders, {"singles": singles, "batches": batches})


if __name__ == "__main__":
    asyncio.run(main())
