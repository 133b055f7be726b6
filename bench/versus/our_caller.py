"""The caller with iotxmpp: a controller."""

import asyncio
import time

from orders import Orders

from iotxmpp import Account, Controller
from versus.obeying import Order, obey


async def main() -> None:
    """Plays the caller."""
    orders = await Orders.open()
    identity = await orders.identity()
    account = Account.model_validate(identity["account"])
    name = identity["device"]
    async with Controller(account, devices=[name], store=f"sqlite:///{identity['store']}") as controller:
        device = await controller.wait_for(name)

        async def call(order: Order) -> dict[str, int]:
            begun = time.monotonic_ns()
            answer = await device.call(order["command"], seconds=order["seconds"], zone="north")
            took = time.monotonic_ns() - begun
            if answer != f"watered north for {order['seconds']} s":
                raise RuntimeError(answer)
            return {"took": took}

        orders.ready(account.jid)
        await obey(orders, {"call": call})


if __name__ == "__main__":
    asyncio.run(main())
