"""Drivers that do what a test says, and agents that they serve."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

import pytest

from iotxmpp import Agent
from iotxmpp.agent import opening
from iotxmpp.agent.drivers import Driver, Sample
from iotxmpp.agent.profiled import equip
from iotxmpp.backoff import Backoff
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.agent_house import House

PROFILE = """
schema = 1
id = "station"
version = "1.0.0"
driver = { kind = "scripted" }
[readings.temperature]
type = "float"
unit = "Cel"
range = [-40, 85]
every = 0.02
[readings.rain]
type = "int"
counter = true
every = 0.02
[readings.door]
type = "bool"
on_change = true
every = 0.02
[readings.said]
type = "str"
[commands.ring]
"""


def quick() -> Backoff:
    return Backoff(first=0.01, longest=0.02, choose=lambda _low, high: high)


class Scripted:
    """A driver that does what a test says; `opening`, `reading` may be errors to raise."""

    def __init__(self) -> None:
        self.opening: BaseException | None = None
        self.reading: BaseException | None = None
        self.values: dict[str, Value | OSError] = {}
        self.hangs = False
        self.opened = self.closed = self.cancelled = self.tries = 0

    async def __aenter__(self) -> Self:
        self.tries += 1
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.opening is not None:
            raise self.opening
        self.opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    async def read(self) -> Mapping[str, Value | OSError]:
        if self.reading is not None:
            raise self.reading
        return dict(self.values)

    async def command(self, name: str, arguments: Mapping[str, Value]) -> str:
        if self.reading is not None:
            raise self.reading
        return f"{name} {len(arguments)}"


class Pushed(Scripted):
    """One that also gives samples; an exception among them is raised, None ends them."""

    def __init__(self) -> None:
        super().__init__()
        self.news: asyncio.Queue[Sample | BaseException | None] = asyncio.Queue()
        self.streams = self.ended = 0

    async def samples(self) -> AsyncIterator[Sample]:
        self.streams += 1
        try:
            while (news := await self.news.get()) is not None:
                if isinstance(news, BaseException):
                    raise news
                yield news
        finally:
            self.ended += 1

    def push(self, **values: Value) -> None:
        self.news.put_nowait(Sample(values=values))


def problems(agent: Agent) -> tuple[str, ...]:
    return agent.status.problems


def agents_in(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Agent]:
    """Makes agents that a driver serves, with short waits."""
    monkeypatch.setattr(opening, "hardware_backoff", quick)

    def make(driver: Driver, text: str = PROFILE, **more: object) -> Agent:
        agent = house.agent()
        equip(agent, parse_profile(text, "station.toml"), lambda: driver, **more)  # type: ignore[arg-type]  # a test's own
        return agent

    return make
