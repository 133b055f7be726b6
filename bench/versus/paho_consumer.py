"""The consumer as a user of paho-mqtt writes it: `on_message` checks, a thread commits what waits."""

import asyncio
import threading
from pathlib import Path

from orders import Orders
from paho.mqtt.client import MQTTMessage

from versus.obeying import obey
from versus.paho_clients import PATIENCE, connected, new_client
from versus.peer_reading import BATCH, PeerReading
from versus.peer_store import PeerStore


async def main() -> None:
    """Plays the consumer."""
    orders = await Orders.open()
    identity = await orders.identity()
    store = PeerStore(Path(identity["store"]))
    client = new_client("consumer")
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()

    def take(_client: object, _data: object, message: MQTTMessage) -> None:
        if message.payload.startswith(b"["):
            store.take(BATCH.validate_json(message.payload))
        else:
            store.take((PeerReading.model_validate_json(message.payload),))

    client.on_message = take
    with connected(client, identity):
        client.subscribe("readings/+", qos=1)
        if not await asyncio.to_thread(subscribed.wait, PATIENCE):
            raise RuntimeError("paho did not subscribe")
        orders.ready("consumer")
        await obey(orders, {})
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
