"""One device's membership: what the controller subscribes to for it."""

import asyncio

from iotxmpp.addresses import DeviceNodes
from iotxmpp.controller.device import Device
from iotxmpp.controller.early import Early
from iotxmpp.controller.intake import Intake
from iotxmpp.controller.twin import Twins
from iotxmpp.link import Cancel, Item, Link


class Membership:
    """The subscriptions of one device.

    What came before the device had joined is taken first, in its order; what comes while that is under way
    waits for it.

    Attributes:
        device: The device.
    """

    def __init__(  # noqa: PLR0913  # each takes another part of what comes
        self,
        device: Device,
        *,
        service: str,
        link: Link,
        intake: Intake,
        early: Early,
        twins: Twins | None = None,
    ) -> None:
        self.device = device
        self._nodes = DeviceNodes(service=service, device=device.id)
        self._link = link
        self._intake = intake
        self._early = early
        self._twins = twins
        self._listening = False
        self._in_order = asyncio.Lock()
        self._fetched: Item | None = None
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
        self._listening = True
        self._cancels.append(await self._link.subscribe(self._nodes.readings, self._take_pack))
        await self._catch_up()
        await self._link.follow(self.device.jid)
        self._intake.listening(self.device)
        if self._twins is not None:
            self._twins.join(self.device)

    async def refresh(self) -> None:
        """Fetches the description that is kept.

        Raises:
            IotxmppError: It is not ours to read, or the service cannot be asked.
        """
        before = self._notified
        kept = await self._link.items(self._nodes.about, newest=1)
        # One that was notified meanwhile is at least as new as the answer.
        if not kept or self._notified != before:
            return
        if self._early.has_about(self.device.id):  # older than the answer, and with packs of its time
            self._fetched = kept[-1]
        else:
            self._intake.about(self.device, kept[-1])

    def leave(self) -> None:
        """Ends the handlers; the subscriptions stay with the service."""
        self._listening = False
        self._fetched = None
        while self._cancels:
            self._cancels.pop()()
        if self._twins is not None:
            self._twins.leave(self.device)

    async def _take_about(self, item: Item) -> None:
        self._notified += 1
        self._fetched = None
        if self._listening:
            await self._catch_up()
        elif self._early.hold(self.device.id, item):  # behind the packs that are held already
            return
        self._intake.about(self.device, item)

    async def _take_pack(self, item: Item) -> None:
        # Nearly each pack finds that nothing waits, and the lock costs as much as half a check.
        if not self._is_caught_up():
            await self._catch_up()
        await self._intake.pack(self.device, item)

    def _is_caught_up(self) -> bool:
        """Whether nothing waits that came before, and nobody is at it."""
        return self._fetched is None and not self._in_order.locked() and not self._early.holds(self.device.id)

    async def _catch_up(self) -> None:
        async with self._in_order:
            for item in self._early.take(self.device.id):
                if item.node == self._nodes.about:
                    self._intake.about(self.device, item)
                else:
                    await self._intake.pack(self.device, item)
            fetched, self._fetched = self._fetched, None
            if fetched is not None:
                self._intake.about(self.device, fetched)
