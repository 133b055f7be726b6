"""A device with a command of each sort, for clients that are not ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from iotxmpp import Agent
from iotxmpp.access import Access
from iotxmpp.account import Account
from iotxmpp.link import Link

Switched = tuple[int, bool, str | None]
"""A relay's channel, whether it was switched on, and how."""


def hall_agent(
    device: Account, access: Access, link: Link, outbox: Path, *, people: Sequence[str] = ()
) -> tuple[Agent, list[Switched]]:
    """An agent, not yet entered, and what its relays were told."""
    agent = Agent(device, access=access, link=link, outbox=outbox, people=people)
    switched: list[Switched] = []
    agent.channel("temperature", type="float", unit="Cel")

    @agent.command
    async def blink() -> str:
        """Blinks once."""
        return "blinked"

    @agent.command(title="Switch a relay")
    async def switch(
        channel: Annotated[int, Field(ge=1, le=4, title="Channel")],
        on: bool,
        mode: Literal["soft", "hard"] | None = None,
    ) -> dict[str, object]:
        """Switches a relay on or off."""
        switched.append((channel, on, mode))
        return {"channel": channel, "on": on}

    @agent.command(steps=(("zone",), ("minutes",)))
    async def water(zone: Literal["beds", "lawn"], minutes: Annotated[int, Field(ge=1, le=60)] = 10) -> str:
        """Waters a part of the garden."""
        return f"watered the {zone} for {minutes} min"

    @agent.command
    async def relays() -> list[dict[str, object]]:
        """Lists the relays."""
        return [{"channel": 1, "on": True}, {"channel": 2, "on": False}]

    @agent.command(role="maintainer")
    async def erase() -> None:
        """Erases everything."""

    return agent, switched
