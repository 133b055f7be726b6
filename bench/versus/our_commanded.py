"""The commanded device with iotxmpp: the same command, idempotent and in the journal."""

import asyncio
from typing import Annotated

from orders import Orders
from pydantic import Field

from iotxmpp import Account, Agent
from versus.obeying import obey


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    account = Account.model_validate(identity["account"])
    agent = Agent(account, outbox="memory")

    @agent.command(idempotent=True)
    async def water(
        seconds: Annotated[int, Field(ge=1, le=3600)], zone: Annotated[str, Field(max_length=32)]
    ) -> str:
        """Waters a zone; again is no harm."""
        return f"watered {zone} for {seconds} s"

    @agent.command
    async def water_once(
        seconds: Annotated[int, Field(ge=1, le=3600)], zone: Annotated[str, Field(max_length=32)]
    ) -> str:
        """Waters a zone, once."""
        return f"watered {zone} for {seconds} s"

    async with agent:
        orders.ready(account.jid)
        await obey(orders, {})


if __name__ == "__main__":
    asyncio.run(main())
