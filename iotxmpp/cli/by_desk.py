"""What goes through the desk of the running controller: questions, and calls that wait for devices."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from iotxmpp.addresses import bare_jid
from iotxmpp.durations import duration

if TYPE_CHECKING:
    from iotxmpp.about import About
    from iotxmpp.account import Account
    from iotxmpp.controller.desk_read import Ask
    from iotxmpp.link import Link

FOUND_WITHIN = 5.0
"""Seconds that the controller has to say that it runs."""

ControllerOption = Annotated[
    str | None, typer.Option(help="The controller's JID; the account's own unless given.")
]


@asynccontextmanager
async def opened_desk(ours: "Account", controller: str | None, *, within: float) -> AsyncIterator["Ask"]:
    """Looks for the running controller; gives what asks its desk, while the context is open.

    Args:
        ours: Who asks.
        controller: The controller's JID; None for the account's own.
        within: Seconds that it has to say that it runs.

    Raises:
        DeviceAwayError: There is none.
        InvalidError: The JID is none.
    """
    from iotxmpp.controller.desk_client import ask_desk, find_controller
    from iotxmpp.xmpp import XmppLink

    jid = bare_jid(controller or ours.jid)
    async with XmppLink(ours) as link:
        desk = await find_controller(link, jid, within)

        async def ask(command: str, arguments: Mapping[str, Any]) -> object:
            return await ask_desk(link, desk, command, arguments)

        yield ask


class DeskCalls:
    """Calls devices through the running controller.

    Attributes:
        waits: Whether the controller waits for devices that are away.
    """

    def __init__(self, link: "Link", desk: str, *, ttl: str, waits: bool) -> None:
        self.waits = waits
        self._link = link
        self._desk = desk
        self._ttl = ttl

    async def ask(self, command: str, arguments: Mapping[str, Any]) -> object:
        """Calls a command of the desk itself, with its arguments."""
        from iotxmpp.controller.desk_client import ask_desk

        return await ask_desk(self._link, self._desk, command, arguments)

    async def call(self, device: str, command: str, arguments: Mapping[str, Any]) -> object:
        """Calls a device's command, by its id, and returns the result when the call has ended."""
        from iotxmpp.controller.desk_client import call_by_desk

        return await call_by_desk(self._link, self._desk, device, command, arguments, ttl=self._ttl)

    async def device(self, name: str, command: str) -> "DeskDevice":
        """What the controller knows of a device and its command."""
        found: Any = await self.ask("describe", {"device": name, "command": command})
        return DeskDevice.of(found, command, self)

    async def devices(self, where: str, command: str) -> "tuple[list[DeskDevice], int]":
        """The devices that an expression means, as the controller knows them, and how many it knows."""
        from iotxmpp.controller.desk_read import read_devices

        found, known = await read_devices(self.ask, where, command)
        return [DeskDevice.of(each, command, self) for each in found], known


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskDevice:
    """A device as a controller's desk tells of it.

    Attributes:
        id: Its id.
        state: Its state.
        online: Whether it can be called now.
        about: What it says of the command that is to be called, and the names of others; None where it never
            described itself.
        denied: Why this account may not call it; empty where it may, as far as is known.
        calls: Calls it.
    """

    id: str
    state: str
    online: bool
    about: "About | None"
    denied: str
    calls: DeskCalls

    @classmethod
    def of(cls, data: Mapping[str, Any], command: str, calls: DeskCalls) -> Self:
        """From what the desk's `describe` or `choose` answered."""
        from iotxmpp.about import About, CommandAbout

        about = None
        if data["described"]:
            commands = {name: CommandAbout() for name in data.get("commands", ())}
            if data["about"] is not None:
                commands[command] = CommandAbout.model_validate(data["about"])
            about = About(device=data["device"], commands=commands)
        return cls(
            id=data["device"],
            state=data["state"],
            online=data["online"],
            about=about,
            denied=data.get("denied", ""),
            calls=calls,
        )

    async def call_with(self, command: str, arguments: Mapping[str, Any], *, timeout: float) -> object:  # noqa: ARG002  # as of a device that is called directly
        """Calls a command through the controller, and returns the result when the call has ended."""
        return await self.calls.call(self.id, command, arguments)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """Which controller calls, and how long it waits for a device.

    Attributes:
        ttl: How long, as it was given.
        controller: The controller's bare JID.
        waits: Whether it waits for devices that are away at all.
    """

    ttl: str
    controller: str
    waits: bool = True

    @classmethod
    def of(cls, ttl: str | None, controller: str | None, ours: "Account", timeout: float) -> Self | None:
        """Checks what was given on the command line; None where devices are called directly.

        Args:
            ttl: The time to live; None where none was given: then the device must be there.
            controller: The controller's JID; None for the account's own.
            ours: Who calls.
            timeout: Seconds that a device which is there has.

        Raises:
            InvalidError: The time or the JID is none.
        """
        if ttl is None and controller is None:
            return None
        jid = ours.jid if controller is None else bare_jid(controller)
        if ttl is None:
            return cls(ttl=f"{timeout:f}s", controller=jid, waits=False)
        duration(ttl, "--ttl")
        return cls(ttl=ttl, controller=jid)

    async def desk(self, link: "Link") -> DeskCalls:
        """Looks for the running controller; gives what calls through it.

        Raises:
            DeviceAwayError: There is none.
        """
        from iotxmpp.controller.desk_client import find_controller

        found = await find_controller(link, self.controller, FOUND_WITHIN)
        return DeskCalls(link, found, ttl=self.ttl, waits=self.waits)
