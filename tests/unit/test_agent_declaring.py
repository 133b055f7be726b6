"""What is declared on an agent, and given to it."""

from typing import Any

import pytest

from iotxmpp import Agent
from iotxmpp.errors import InvalidError
from tests.unit.agent_house import House, account, fault


async def test_decorators_return_the_users_own_function() -> None:
    agent = Agent("greenhouse@example.org")

    def temperature() -> float:
        return 1.0

    def water(seconds: int = 10) -> int:
        return seconds

    assert agent.sensor("temperature", unit="Cel")(temperature) is temperature
    assert agent.command(water) is water
    assert agent.command(name="again")(water) is water


async def test_a_name_is_declared_once() -> None:
    agent = Agent("greenhouse@example.org")
    agent.channel("level", type="int")
    agent.command(name="water")(print_nothing)
    assert fault(lambda: agent.channel("level", type="int")) == "channel level: declared twice"
    assert fault(lambda: agent.sensor("level")(lambda: 1)) != ""
    assert fault(lambda: agent.command(name="water")(print_nothing)) == "command water: declared twice"


def print_nothing() -> None:
    return None


async def test_a_profiles_channels_are_known(house: House) -> None:
    agent = Agent("greenhouse@example.org", profile="bme280")

    @agent.sensor("temperature")
    def temperature() -> float:
        return 1.0

    assert agent._channels["temperature"].unit == "Cel"
    assert agent._channels["temperature"].range is not None
    assert agent.profile.startswith("bme280 ")
    assert len(agent._channels) > 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"jid_or_account": "greenhouse"}, "expected name@domain"),
        ({"jid_or_account": "Green_House@example.org"}, "device id 'green_house'"),
        ({"jid_or_account": "g@example.org", "heartbeat": 0}, "heartbeat"),
        ({"jid_or_account": "g@example.org", "heartbeat": float("inf")}, "heartbeat"),
        ({"jid_or_account": "g@example.org", "device": "no/slug"}, "device id"),
        ({"jid_or_account": "g@example.org", "site": "\x00"}, "site"),
        ({"jid_or_account": "g@example.org", "controllers": ["house"]}, "expected name@domain"),
        ({"jid_or_account": "g@example.org", "profile": "bme281"}, "bme280"),
        ({"jid_or_account": account("g"), "password": "x"}, "password"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        Agent(**arguments)
