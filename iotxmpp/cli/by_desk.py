"""Calls that go through the running controller, which waits for devices that are away."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from iotxmpp.addresses import bare_jid
from iotxmpp.durations import duration

if TYPE_CHECKING:
    from iotxmpp.account import Account
    from iotxmpp.link import Link

_FOUND_WITHIN = 5.0

Desk = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
"""Calls a device's command, by its id, and returns the result when the call has ended."""


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

        found = await find_controller(link, self.controller, _FOUND_WITHIN)

        async def call(device: str, command: str, arguments: Mapping[str, Any]) -> object:
            return await call_by_desk(link, found, device, command, arguments, ttl=self.ttl)

        return call
