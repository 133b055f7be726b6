"""The device's end with iotxmpp: an agent with one channel and two commands; it publishes when told to."""

import asyncio
import time

from orders import Orders

from iotxmpp import Account, Agent


def make_agent(account: Account) -> Agent:
    """An agent whose readings are the moments at which they are published."""
    agent = Agent(account)
    agent.channel("stamp", type="int", description="the clock of this machine, in nanoseconds")

    @agent.command(idempotent=True)
    async def again() -> None:
        """Does nothing, as often as it is asked."""

    @agent.command
    async def once() -> None:
        """Does nothing, and is written into the journal."""

    return agent


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    account = Account.model_validate(await orders.identity())
    async with make_agent(account) as agent:
        orders.ready(account.jid)
        async for _ in orders:
            await agent.publish("stamp", time.monotonic_ns())


if __name__ == "__main__":
    asyncio.run(main())
