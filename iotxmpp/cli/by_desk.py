"""What goes through the desk of the running controller: questions, and calls that wait for devices."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from iotxmpp.addresses import bare_jid
from iotxmpp.durations import duration

if TYPE_CHECKING:
    from iotxmpp.account import Account
    from iotxmpp.link import Link

FOUND_WITHIN = 5.0
"""Seconds that the controller has to say that it runs."""

ControllerOption = Annotated[
    str | None, typer.Option(help="The controller's JID; the account's own unless given.")
]

Ask = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Calls a command of the desk itself, with its arguments."""

Desk = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
"""Calls a device's command, by its id, and returns the result when the call has ended."""


@asynccontextmanager
async def opened_desk(ours: "Account", controller: str | None, *, within: float) -> AsyncIterator[Ask]:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """How long which controller waits for a device.

    Attributes:
        ttl: How long, as it was given.
        controller: The controller's bare JID.
    """

    ttl: str
    controller: str

    @classmethod
    def of(cls, ttl: str | None, controller: str | None, ours: "Account") -> Self | None:
        """Checks what was given on the command line; None where no time to live was.

        Raises:
            InvalidError: The time or the JID is none.
        """
        if ttl is None:
            return None
        jid = ours.jid if controller is None else bare_jid(controller)
        duration(ttl, "--ttl")
        return cls(ttl=ttl, controller=jid)

    async def desk(self, link: "Link") -> Desk:
        """Looks for the running controller; gives what calls through it.

        Raises:
            DeviceAwayError: There is none.
        """
        from iotxmpp.controller.desk_client import call_by_desk, find_controller

        found = await find_controller(link, self.controller, FOUND_WITHIN)

        async def call(device: str, command: str, arguments: Mapping[str, Any]) -> object:
            return await call_by_desk(link, found, device, command, arguments, ttl=self.ttl)

        return call
