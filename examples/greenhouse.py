"""A greenhouse: one sensor and one command."""

from iotxmpp import Agent

agent = Agent("greenhouse@example.org")  # the password comes from the environment or an account file


@agent.sensor("temperature", unit="Cel", every=30)
def temperature() -> float:
    return 31.5


@agent.command
async def water(seconds: int = 10) -> str:
    return f"watered for {seconds} s"


agent.run()
