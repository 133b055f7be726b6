"""A device, and a controller whose queue gives it commands."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.about import CommandAbout
from iotxmpp.commands import (
    COMMAND_TAG,
    CommandCall,
    cancelled_element,
    expired_error,
    parse_call,
    result_element,
    too_late_error,
)
from iotxmpp.controller import Controller, Device, queue_lane
from iotxmpp.errors import StanzaError
from iotxmpp.link import Presence, Request
from tests.unit.controller_world import SOON, PlayedDevice, World, about_of, until


def describes(once: Literal["journal", "idempotent"] | None = "journal") -> dict[str, CommandAbout]:
    return {"water": CommandAbout() if once is None else CommandAbout(once=once)}


@dataclass
class Journaled:
    """A device that answers a repeated id from its journal, as ours do."""

    played: PlayedDevice
    ran: list[int | str] = field(default_factory=list)
    calls: list[CommandCall] = field(default_factory=list)
    journal: dict[str, object] = field(default_factory=dict)
    before: Callable[[CommandCall], Awaitable[None]] | None = None
    after: Callable[[CommandCall], Awaitable[None]] | None = None

    def serve(self) -> "Journaled":
        self.played.link.serve(COMMAND_TAG, self.answer)
        return self

    async def answer(self, request: Request) -> Element:
        call = parse_call(request.payload)
        if call.action == "cancel":
            if call.id in self.journal:
                raise too_late_error(call)
            self.journal[call.id] = "cancelled"
            return cancelled_element(call)
        self.calls.append(call)
        if self.before is not None:
            await self.before(call)
        if call.id not in self.journal:
            if call.within is not None and call.within <= 0:
                raise expired_error(call)
            self.journal[call.id] = json.loads(call.arguments_json or "{}")
            self.ran.append(json.loads(call.arguments_json or "{}").get("n", call.id))
        if self.after is not None:
            await self.after(call)
        if self.journal[call.id] == "cancelled":
            return cancelled_element(call)
        return result_element(call, self.journal[call.id])


@dataclass
class Case:
    world: World
    controller: Controller
    played: PlayedDevice

    @property
    def device(self) -> Device:
        return self.controller.device("hall")

    def answers(self, error: StanzaError) -> None:
        async def serve(request: Request) -> Element:
            raise error

        self.played.link.serve(COMMAND_TAG, serve)

    async def away(self) -> None:
        await self.played.link.announce(Presence(available=False))
        await until(lambda: not self.device.online)

    async def sleep(self) -> None:
        await self.played.say(why="sleep", sleeping=3600, outbox="disk")
        await until(lambda: self.device.state == "sleeping")

    async def there(self) -> None:
        await self.played.say(outbox="disk")
        await until(lambda: self.device.online)

    async def states(self) -> list[str]:
        return [each.state for each in await self.controller.commands()]

    def metric(self, name: str) -> float:
        lines = self.controller.metrics.text().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the queue try again at once."""
    monkeypatch.setattr(queue_lane, "PATIENCE", 0.1)
    monkeypatch.setattr(queue_lane, "GRACE", 0.3)
    monkeypatch.setattr(queue_lane, "CANCEL_PATIENCE", 0.5)
    monkeypatch.setattr(queue_lane, "FIRST_PAUSE", 0.02)


@asynccontextmanager
async def open_case(world: World, folder: Path) -> AsyncIterator[Case]:
    """The world's device is connected, and the controller knows it."""
    store = f"sqlite:///{folder}/controller.db"
    async with (
        world.device("hall") as played,
        await world.controller(discover_every=60, store=store) as controller,
    ):
        await played.describe(about_of("hall", commands=describes()))
        await played.say(outbox="disk")
        await controller.wait_for("hall", timeout=SOON)
        device = controller.device("hall")
        await until(lambda: device.about and "once" in device.about.commands["water"].model_fields_set)
        yield Case(world, controller, played)
