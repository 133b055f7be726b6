"""The consumer as a user of aiomqtt writes it: pydantic checks each message, a thread commits what waits."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import aiomqtt
from orders import Orders

from versus.arrivals import Arrivals
from versus.mqtt_clients import client
from versus.obeying import obey
from versus.peer_reading import BATCH, PeerReading
from versus.peer_store import PeerStore


async def take(messages: aiomqtt.client.MessagesIterator, store: PeerStore) -> None:
    """Takes message after message."""
    async for message in messages:
        payload = message.payload
        if not isinstance(payload, bytes):
            raise TypeError("a message without a payload")
        if payload.startswith(b"["):
            store.take(BATCH.validate_json(payload))
        else:
            store.take((PeerReading.model_validate_json(payload),))


async def main() -> None:
    """Plays the consumer."""
    orders = await Orders.open()
    identity = await orders.identity()
    loop = asyncio.get_running_loop()
    arrivals = Arrivals()

    def committed(readings: Sequence[PeerReading]) -> None:
        if identity.get("handler"):
            loop.call_soon_threadsafe(handle, readings)

    def handle(readings: Sequence[PeerReading]) -> None:
        for reading in readings:
            arrivals.came(time.monotonic_ns(), reading.value)

    store = PeerStore(Path(identity["store"]), committed)
    async with client(identity, "consumer", clean_start=True) as mqtt:
        await mqtt.subscribe("readings/+", qos=1)
        taking = asyncio.create_task(take(mqtt.messages, store))
        orders.ready("consumer")
        await obey(orders, {"arrival": arrivals.next, "arrivals": arrivals.many})
        taking.cancel()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
