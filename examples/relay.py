"""Four relays: commands whose arguments have bounds, and one that tells how far it is."""

import asyncio
from typing import Annotated

from pydantic import Field

from iotxmpp import Agent, progress

agent = Agent("relay@example.org")
for number in range(1, 5):
    agent.channel(f"relay/{number}", type="bool", description=f"Whether relay {number} is on")

Channel = Annotated[int, Field(ge=1, le=4, title="Channel", description="Which relay")]


@agent.command(title="Switch a relay", idempotent=True)  # asked twice, it may run twice
async def switch(*, channel: Channel, on: bool) -> str:
    """Turns one relay on or off."""
    await agent.publish(f"relay/{channel}", on)  # with gpiozero, set the pin here
    return f"relay {channel} is {'on' if on else 'off'}"


@agent.command(title="Try all relays", role="maintainer")  # asked twice, it runs once
async def try_all(seconds: Annotated[float, Field(gt=0, le=60, title="For how long, in seconds")]) -> str:
    """Turns each relay on for a while, one after another."""
    for channel in range(1, 5):
        progress((channel - 1) / 4, f"relay {channel}")
        await switch(channel=channel, on=True)
        await asyncio.sleep(seconds / 4)
        await switch(channel=channel, on=False)
    return "tried 4 relays"


agent.run()
