"""The gpio driver in an agent: a press is published once, and a command shows at once."""

import asyncio
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # it has no types

from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.profiled import equip
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import open_house, until
from tests.unit.pins_house import RELAYS, in_a_thread, mock_pins, reading


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    with mock_pins(monkeypatch) as pins:
        yield pins


async def test_a_press_is_published_once_and_a_command_shows_at_once(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = RELAYS.replace('type = "bool"\ncount', 'type = "bool"\non_change = true\nevery = 0.02\ncount')
    text = reading('{device="Button", pin=17}', more="on_change=true\nevery=0.02") + head
    profile = parse_profile(text, "pins.toml")
    async with open_house() as house:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
        agent = house.agent()
        equip(agent, profile, lambda: create_driver(profile, {}))
        async with agent:
            await until(lambda: house.values("x") == [False])
            for level in (factory.pin(17).drive_low, factory.pin(17).drive_high):
                before = len(house.values("x"))
                in_a_thread(level)
                await until(lambda: len(house.values("x")) > before)  # noqa: B023  # asked before the next turn
            assert await house.call("switch", {"channel": 2, "on": True}) == {"relay/2": True}
            await until(lambda: house.values("relay/2") == [False, True])
            await asyncio.sleep(0.1)  # some readings more, of what has been told
            assert agent.status.problems == ()
        assert house.values("x") == [False, True, False]
        assert house.values("relay/2") == [False, True]
    assert factory.pin(6).function == "input"
