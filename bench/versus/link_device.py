"""The publisher with iotxmpp's link alone: so many items are under way."""

import asyncio
import time

from orders import Orders

from iotxmpp import Account
from iotxmpp.addresses import NodeAddress
from iotxmpp.payloads import json_element
from iotxmpp.xmpp import XmppLink
from versus.feeds import by_tasks
from versus.obeying import Order, obey
from versus.peer_reading import made


async def main() -> None:
    """Plays the publisher."""
    orders = await Orders.open()
    identity = await orders.identity()
    node = NodeAddress(service=identity["service"], node=identity["node"])
    text = made(identity["device"], 21.5).model_dump_json()
    async with XmppLink(Account.model_validate(identity["account"])) as link:

        async def hand(number: int) -> None:
            await link.publish(node, json_element(text), item_id=str(number))

        async def items(order: Order) -> dict[str, float]:
            begun = time.monotonic()
            await by_tasks(hand, order["items"], tasks=order["window"])
            return {"begun": begun}

        orders.ready(identity["jid"])
        await obey(orders, {"items": items})


if __name__ == "__main__":
    asyncio.run(main())
