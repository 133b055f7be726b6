"""The subscriber by hand: it only counts the items in the bytes that come."""

import asyncio

from orders import Orders

from versus.item_count import ItemCount
from versus.obeying import obey
from versus.socket_xmpp import Counted, SocketClient


async def main(*, managed: bool = False) -> None:
    """Plays the subscriber."""
    orders = await Orders.open()
    identity = await orders.identity()
    client = SocketClient(identity, managed=managed)
    await client.start()
    counted, found = Counted(b"<item "), ItemCount()

    async def count() -> None:
        while chunk := await client.read():
            found.came(counted(chunk))

    counting = asyncio.create_task(count())
    orders.ready(identity["jid"])
    await obey(orders, {"arrived": found.arrived})
    counting.cancel()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
