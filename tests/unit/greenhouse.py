"""An agent with a sensor and a command."""

from iotxmpp import Agent
from tests.unit.agent_house import House


def greenhouse(house: House, **more: float) -> Agent:
    agent = house.agent(**more)

    @agent.sensor("temperature", unit="Cel", every=30, range=(-40, 85))
    def temperature() -> float:
        """Of the air."""
        return 21.5

    @agent.command
    async def water(seconds: int = 10) -> str:
        """Waters the plants."""
        return f"watered for {seconds} s"

    return agent


def problems(agent: Agent) -> tuple[str, ...]:
    return agent.status.problems
