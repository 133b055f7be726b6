"""What many unit tests run in; a file that needs another one has a fixture of that name of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from iotxmpp import Agent
from iotxmpp.controller import ackpace
from tests.unit.agent_house import House, open_house
from tests.unit.controller_world import World, hall_world
from tests.unit.doors_house import Valve
from tests.unit.person_client import Relay
from tests.unit.queue_case import Case, hurry, open_case
from tests.unit.scripted_driver import agents_in


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A server in memory, to which agents connect by themselves."""
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


@pytest.fixture
def agent_of(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Agent]:
    """Makes an agent that a driver serves, with short waits."""
    return agents_in(house, monkeypatch)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A server in memory, a controller's account, and the account and nodes of a device."""
    async with hall_world() as world:
        yield world


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a store on disk."""
    return f"sqlite:///{tmp_path / 'controller.db'}"


@pytest.fixture
def quick_acks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledgements that a controller sends almost at once."""
    monkeypatch.setattr(ackpace, "EVERY", 0.01)


@pytest.fixture
async def case(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    """A device that is connected, and a controller whose queue soon tries again."""
    hurry(monkeypatch)
    async with open_case(world, tmp_path) as case:
        yield case


@pytest.fixture
def relay() -> Relay:
    """What a person switches."""
    return Relay()


@pytest.fixture
def valve() -> Valve:
    """What bad calls must not open."""
    return Valve()
