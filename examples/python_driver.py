"""Hardware that no driver knows, as two functions: iotxmpp agent run python_driver.toml.

A function may block; it runs in a thread. What it raises is a problem in the device's presence, with the file
and the line. A value of None is left out.
"""

from collections.abc import Mapping

LITRES_A_SECOND = 0.8

_tank = {"level": 120.0, "pump": False}


def read() -> dict[str, float | bool | None]:
    """The values by channel, as the profile names them; called at the interval."""
    if _tank["pump"]:
        _tank["level"] = max(0.0, _tank["level"] - LITRES_A_SECOND)
    return {"level": _tank["level"], "pump": _tank["pump"]}


def command(name: str, arguments: Mapping[str, bool]) -> dict[str, bool]:
    """Carries out a command of the profile; its arguments are checked already."""
    if name == "pump" and arguments["on"] and not _tank["level"]:
        raise RuntimeError("the tank is empty")
    _tank["pump"] = arguments["on"]
    return {"pump": arguments["on"]}
