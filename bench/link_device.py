"""The device's end with the link alone: it answers requests, with no agent and no commands."""

import asyncio
from xml.etree.ElementTree import Element

from orders import Orders

from iotxmpp import Account
from iotxmpp.link import Request
from iotxmpp.xmpp import XmppLink

NOOP = "{urn:example:bench}noop"


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    account = Account.model_validate(await orders.identity())

    async def answer(_request: Request) -> Element | None:
        return None

    async with XmppLink(account) as link:
        link.serve(NOOP, answer)
        orders.ready(link.jid)
        async for _ in orders:
            pass


if __name__ == "__main__":
    asyncio.run(main())
