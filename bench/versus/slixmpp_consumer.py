"""The consumer as a user of slixmpp writes it: pydantic checks each item, a thread commits what waits."""

import asyncio
from pathlib import Path

from orders import Orders

from versus.obeying import obey
from versus.peer_reading import PeerReading
from versus.peer_store import PeerStore
from versus.slixmpp_clients import PlainClient


async def main() -> None:
    """Plays the consumer."""
    orders = await Orders.open()
    identity = await orders.identity()
    store = PeerStore(Path(identity["store"]))
    client = PlainClient(identity)
    client.on_json(lambda text: store.take((PeerReading.model_validate_json(text),)))
    await client.start()
    orders.ready(identity["jid"])
    await obey(orders, {})
    await client.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
