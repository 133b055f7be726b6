"""A lamp with a setting: `iotxmpp twin set lamp brightness=20` changes it, now or when the lamp is back."""

from typing import Annotated

from pydantic import Field

from iotxmpp import Agent

agent = Agent("lamp@example.org")
now = {"percent": 0}


@agent.setting("brightness")
def brightness(percent: Annotated[int, Field(ge=0, le=100)] = 50) -> None:
    """How bright the lamp shines, in percent."""
    if percent > 80 and hot():
        raise ValueError("the lamp is too hot for that")  # it stays as it was, and the controller learns why
    now["percent"] = percent


@agent.sensor("brightness", unit="/100", every=5)  # its interval is a setting, too: every/brightness
def shining() -> int:
    return now["percent"]


def hot() -> bool:
    """Stands for the hardware."""
    return True


agent.run()
