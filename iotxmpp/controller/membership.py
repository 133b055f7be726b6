"""One device's membership: what the controller subscribes to for it."""

from functools import partial

from iotxmpp.addresses import DeviceNodes
from iotxmpp.controller.device import Device
from iotxmpp.controller.intake import Intake
from iotxmpp.link import Cancel, Item, Link


class Membership:
    """The subscriptions of one device.

    Attributes:
        device: The device.
    """

    def __init__(self, device: Device, *, service: str, link: Link, intake: Intake) -> None:
        self.device = device
        self._nodes = DeviceNodes(service=service, device=device.id)
        self._link = link
        self._intake = intake
        self._notified = 0
        self._cancels: list[Cancel] = []

    async def describe(self) -> None:
        """Subscribes to the device's description, and fetches the one that is kept.

        Raises:
            IotxmppError: It is not ours to read, or the service cannot be asked.
        """
        self._cancels.append(await self._link.subscribe(self._nodes.about, self._take_about))
        await self.refresh()

    async def listen(self) -> None:
        """Subscribes to the device's readings, and follows its presence.

        Raises:
            IotxmppError: They are not ours to read, or the service cannot be asked.
        """
        await self._intake.expect(self.device)
        handler = partial(self._intake.pack, self.device)
        self._cancels.append(await self._link.subscribe(self._nodes.readings, handler))
        await self._link.follow(self.device.jid)
        self._intake.listening(self.device)

    async def refresh(self) -> None:
        """Fetches the description that is kept.

        Raises:
            IotxmppError: It is not ours to read, or the service cannot be asked.
        """
        before = self._notified
        kept = await self._link.items(self._nodes.about, newest=1)
        # One that was notified meanwhile is at least as new as the answer.
        if kept and self._notified == before:
            self._intake.about(self.device, kept[-1])

    def leave(self) -> None:
        """Ends the handlers; the subscriptions stay with the service."""
        while self._cancels:
            self._cancels.pop()()

    async def _take_about(self, item: Item) -> None:
        self._notified += 1
        self._intake.about(self.device, item)
