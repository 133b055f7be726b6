"""A device with five sensors, one reading of each a second, with iotxmpp; the outbox on disk."""

import asyncio
import random

from orders import Orders

from iotxmpp import Account, Agent
from versus.obeying import obey

SENSORS = {
    "temperature": "Cel",
    "humidity": "%RH",
    "pressure": "Pa",
    "light": "lx",
    "voltage": "V",
}


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    account = Account.model_validate(identity["account"])
    agent = Agent(account, outbox=identity["outbox"])
    for channel, unit in SENSORS.items():

        @agent.sensor(channel, unit=unit, every=1)
        def read() -> float:
            return round(random.uniform(20, 30), 2)  # noqa: S311  # a sensor's noise

    if identity["commands"]:

        @agent.command(idempotent=True)
        async def water(seconds: int, zone: str) -> str:
            """Waters a zone; again is no harm."""
            return f"watered {zone} for {seconds} s"

    async with agent:
        orders.ready(account.jid)
        await obey(orders, {})


if __name__ == "__main__":
    asyncio.run(main())
