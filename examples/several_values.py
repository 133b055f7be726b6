"""Several values from one function, read at one moment; what cannot be read now is left out."""

from iotxmpp import Agent, Channel

agent = Agent("climate@example.org", site="cellar")


@agent.sensor({"temperature": "Cel", "humidity": "%RH"}, every=30, range={"humidity": (0, 100)})
def climate() -> dict[str, float | None]:
    return {"temperature": 12.5, "humidity": None}  # the part for humidity is not ready yet


@agent.sensor(
    {
        "pump/running": Channel(type="bool", description="Whether the pump runs"),
        "pump/starts": Channel(type="int", unit="count", description="Starts since it was built in"),
    },
    every=60,
)
def pump() -> tuple[bool, int]:
    return True, 1207


agent.run()
