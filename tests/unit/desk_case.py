"""A controller with a desk, a device that a test plays, and people who come to the desk."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.about import CommandAbout
from iotxmpp.access import Access, Grant
from iotxmpp.commands import COMMAND_TAG, CommandCall, parse_call, result_element
from iotxmpp.controller import Controller
from iotxmpp.controller.desk_client import ask_desk, find_controller
from iotxmpp.link import Link, Presence, Request
from tests.unit.controller_world import HOUSE, SOON, PlayedDevice, World, about_of, account, until

COMMANDS = {
    "water": CommandAbout(once="journal"),
    "reset": CommandAbout(once="journal", role="maintainer"),
}
ACCESS = Access(
    (
        Grant(who="ann@localhost", role="operator", devices=("hall",)),
        Grant(who="olaf@localhost", role="observer"),
        Grant(who="bert@localhost", role="operator", devices=("barn",)),
    )
)


@dataclass
class Case:
    world: World
    controller: Controller
    played: PlayedDevice
    stack: AsyncExitStack
    store: Path
    calls: list[CommandCall] = field(default_factory=list)
    result: object = "watered"

    async def serve(self, request: Request) -> Element:
        call = parse_call(request.payload)
        self.calls.append(call)
        return result_element(call, self.result)

    async def link(self, name: str) -> Link:
        await self.world.server.create_account(f"{name}@localhost", "secret", renew=True)
        return await self.stack.enter_async_context(self.world.server.link(account(f"{name}@localhost")))

    async def come(self, name: str) -> tuple[Link, str]:
        link = await self.link(name)
        return link, await find_controller(link, HOUSE, SOON)

    async def ask(self, who: str, what: str, /, **arguments: Any) -> Any:  # noqa: ANN401  # JSON in, JSON out
        link, desk = await self.come(who)
        return await ask_desk(link, desk, what, arguments)

    async def away(self) -> None:
        await self.played.link.announce(Presence(available=False))
        await until(lambda: not self.controller.device("hall").online)


@asynccontextmanager
async def open_desk_case(folder: Path) -> AsyncIterator[Case]:
    """A desk, a device that is there, and the people of `ACCESS`."""
    world = World()
    await world.add("hall")
    path = folder / "controller.db"
    async with AsyncExitStack() as stack:
        played = await stack.enter_async_context(world.device("hall"))
        await played.describe(about_of("hall", commands=COMMANDS))
        made = await world.controller(discover_every=60, store=f"sqlite:///{path}", access=ACCESS)
        controller = await stack.enter_async_context(made)
        await played.say(outbox="disk")
        await controller.wait_for("hall", timeout=SOON)
        case = Case(world, controller, played, stack, path)
        played.link.serve(COMMAND_TAG, case.serve)
        yield case
    await world.close()
