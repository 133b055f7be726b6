"""The controller of `delivery.py`: it takes what one device publishes into its store."""

import asyncio

from accounts import AGENT
from orders import Orders

from iotxmpp import Account, Controller


async def main() -> None:
    """Plays the controller."""
    orders = await Orders.open()
    identity = await orders.identity()
    account = Account.model_validate(identity["account"])
    async with Controller(account, devices=[AGENT], store=identity["store"]):
        orders.ready(account.jid)
        async for _ in orders:
            break
    print("{}", flush=True)
    async for _ in orders:  # so that what it wrote can still be looked up
        pass


if __name__ == "__main__":
    asyncio.run(main())
