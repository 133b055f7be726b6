"""The controller with iotxmpp, its store in SQLite."""

import asyncio
import time

from orders import Orders

from iotxmpp import Account, Controller, Reading
from versus.arrivals import Arrivals
from versus.obeying import Order, obey

PACKS = "iotxmpp_packs_total{"


async def main() -> None:
    """Plays the controller."""
    orders = await Orders.open()
    identity = await orders.identity()
    account = Account.model_validate(identity["account"])
    controller = Controller(account, devices=identity["devices"], store=f"sqlite:///{identity['store']}")
    arrivals = Arrivals()
    if identity.get("handler"):

        @controller.on_reading("stamp")
        async def took(reading: Reading) -> None:
            arrivals.came(time.monotonic_ns(), int(reading.value))

    async def packs(_order: Order) -> dict[str, float]:
        """The packs that came so far."""
        lines = controller.metrics.text().splitlines()
        return {"packs": sum(float(line.split()[-1]) for line in lines if line.startswith(PACKS))}

    async with controller:
        orders.ready(account.jid)
        await obey(orders, {"arrival": arrivals.next, "arrivals": arrivals.many, "packs": packs})


if __name__ == "__main__":
    asyncio.run(main())
