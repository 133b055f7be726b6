"""The subscriber with iotxmpp's link alone: its handler counts."""

import asyncio

from orders import Orders

from iotxmpp import Account
from iotxmpp.addresses import NodeAddress
from iotxmpp.link import Item
from iotxmpp.xmpp import XmppLink
from versus.item_count import ItemCount
from versus.obeying import obey


async def main() -> None:
    """Plays the subscriber."""
    orders = await Orders.open()
    identity = await orders.identity()
    found = ItemCount()

    async def count(_item: Item) -> None:
        found.came(1)

    async with XmppLink(Account.model_validate(identity["account"])) as link:
        await link.subscribe(NodeAddress(service=identity["service"], node=identity["node"]), count)
        orders.ready(identity["jid"])
        await obey(orders, {"arrived": found.arrived})


if __name__ == "__main__":
    asyncio.run(main())
